//! The names of the strategies say what they choose.

use relfisher_core::curvature::{Labels, Propagation, Scaling, Sharing, Strategy};

#[test]
fn presets_differ_where_their_names_do() {
    let kfac = Strategy::KFAC_TYPE2;
    assert_eq!(kfac.labels, Labels::Type2);
    assert_eq!(kfac.scaling, Scaling::Factors);
    assert_eq!(Strategy::KFLR, kfac);
    assert_eq!(Strategy::KFC_EXPAND.sharing, Sharing::Expand);
    let mc = Labels::MonteCarlo { draws: 1 };
    assert_eq!(Strategy::KFAC_MC, Strategy { labels: mc, ..kfac });
    assert_eq!(Strategy::KFAC_EMPIRICAL, Strategy { labels: Labels::Empirical, ..kfac });
    assert_eq!(Strategy::KFRA, Strategy { propagation: Propagation::Averaged, ..kfac });
    assert_eq!(Strategy::EKFAC, Strategy { scaling: Scaling::Eigenvalues, ..kfac });
    assert_eq!(Strategy::KFC_REDUCE, Strategy { sharing: Sharing::Reduce, ..kfac });
}

#[test]
fn columns_by_labels() {
    assert_eq!(Labels::Type2.columns(7), 7);
    assert_eq!(Labels::MonteCarlo { draws: 4 }.columns(7), 4);
    assert_eq!(Labels::Empirical.columns(7), 1);
}

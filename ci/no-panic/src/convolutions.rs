//! Windows, patches and pools.

use relfisher_core::conv::{
    self, Group, PaddingCount, PatchOrder, Window, avg_pool, avg_pool_backward_add, fold_add,
    max_pool, max_pool_backward_add, reorder_columns, reorder_symmetric, unfold,
};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { conv_window conv_patches conv_orders conv_pools conv_layouts }

/// A geometry of unknown numbers.
fn window<T: Real>(x: &Opaque<T>) -> Window {
    let [channels, height, width, kh, kw, sh, sw, ph] = x.counts;
    let (dh, dw) = (usize::from(x.choice), x.places.len());
    Window {
        channels,
        height,
        width,
        kernel: [kh, kw],
        stride: [sh, sw],
        padding: [ph, kw ^ sh],
        dilation: [dh, dw],
    }
}

fn order(choice: u8) -> PatchOrder {
    if choice == 0 { PatchOrder::ChannelMajor } else { PatchOrder::TapMajor }
}

fn conv_window<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let w = window(x);
    x.counts[0] = w.out_height() ^ w.out_width() ^ w.positions() ^ w.taps() ^ w.image_len();
    w.check()
}

fn conv_patches<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (w, n) = (window(x), x.counts);
    let (group, order) = (Group { index: n[6], count: n[7] }, order(x.choice));
    let [image, pixels, ..] = &mut x.slices;
    unfold(x.out.view_mut()?, image, &w, group, n[5], order)?;
    fold_add(pixels, x.more.view()?, &w, group, n[5], order)
}

fn conv_orders<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (n, order) = (x.counts, order(x.choice));
    let a = x.inputs[0].view()?;
    reorder_columns(x.out.view_mut()?, a, n[0], n[1], order)?;
    reorder_symmetric(x.more.view_mut()?, a, n[0], n[1], order)
}

fn conv_pools<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let w = window(x);
    let count = if x.choice == 0 { PaddingCount::Include } else { PaddingCount::Exclude };
    let [out, image, delta, pixels] = &mut x.slices;
    max_pool(out, x.places, image, &w)?;
    max_pool_backward_add(pixels, delta, x.places)?;
    avg_pool(out, image, &w, count)?;
    avg_pool_backward_add(pixels, delta, &w, count)
}

fn conv_layouts<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [out, image, ..] = &mut x.slices;
    conv::to_channels_last(out, image, n[0], n[1])?;
    conv::to_channels_first(out, image, n[0], n[1])
}

//! Code size and stack of every function of the C library on a microcontroller, read off the
//! disassembly of an image that holds all of them.
//!
//! The code of a function is its own and that of everything it calls, once: what linking it alone
//! costs. Its stack is its own frame and the deepest chain of calls below. Both are exact, because
//! nothing is called through a pointer, nothing recurses, and frames have fixed sizes; whatever breaks
//! that is an error here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The conditions of a jump.
const CONDITIONS: [&str; 14] =
    ["eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"];

/// What a function costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of code and constants beside it, callees included.
    pub code: u64,
    /// Bytes of stack, callees included.
    pub stack: u64,
}

/// One function of a disassembly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Function {
    code: u64,
    frame: u64,
    calls: BTreeSet<String>,
}

/// The functions whose name has the prefix, from the outputs of `objdump -d` for Thumb and of `nm`, which
/// knows every name of a function that several share.
///
/// # Errors
/// A line that could change the stack or the flow in a way that is not understood.
pub fn measure(
    disassembly: &str,
    symbols: &str,
    prefix: &str,
) -> Result<BTreeMap<String, Footprint>, String> {
    let functions = parse(disassembly)?;
    let headers: BTreeMap<u64, &str> = disassembly.lines().filter_map(header).collect();
    let mut found = BTreeMap::new();
    for line in symbols.lines() {
        let mut fields = line.split_whitespace();
        let (Some(address), Some("T" | "t" | "W"), Some(symbol)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !symbol.starts_with(prefix) {
            continue;
        }
        let address = u64::from_str_radix(address, 16).map_err(|e| format!("`{line}`: {e}"))?;
        let name = headers.get(&address).ok_or_else(|| format!("{symbol} has no code"))?;
        let mut reached = BTreeSet::new();
        let stack = descend(&functions, name, &mut Vec::new(), &mut reached)?;
        let code = reached.iter().filter_map(|n| functions.get(*n)).map(|f| f.code).sum();
        found.insert(symbol.to_owned(), Footprint { code, stack });
    }
    if found.is_empty() {
        return Err(format!("no function {prefix}… in the image"));
    }
    Ok(found)
}

fn parse(disassembly: &str) -> Result<BTreeMap<String, Function>, String> {
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    let mut current: Option<(String, u64)> = None;
    for line in disassembly.lines() {
        if line.starts_with("Disassembly of section") {
            current = None;
        }
        if let Some((address, name)) = header(line) {
            if let Some((name, start)) = &current {
                functions.entry(name.clone()).or_default().code = address.saturating_sub(*start);
            }
            functions.entry(name.to_owned()).or_default();
            current = Some((name.to_owned(), address));
            continue;
        }
        let Some((name, start)) = &current else { continue };
        let mut parts = line.splitn(4, '\t');
        let (Some(address), Some(_), Some(mnemonic)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let operands = parts.next().unwrap_or("");
        let function = functions.entry(name.clone()).or_default();
        if let Ok(address) = u64::from_str_radix(address.trim().trim_end_matches(':'), 16) {
            // The last function ends with its last instruction, of at most four bytes.
            function.code = function.code.max(address.saturating_sub(*start) + 4);
        }
        function.frame += grows(mnemonic, operands).ok_or_else(|| format!("{name}: `{line}`"))?;
        match callee(mnemonic, operands) {
            Some(Ok(callee)) if callee != name => {
                function.calls.insert(callee.to_owned());
            }
            Some(Err(())) => return Err(format!("{name} calls through a pointer: `{line}`")),
            _ => {}
        }
    }
    Ok(functions)
}

/// `000001a4 <name>:`
fn header(line: &str) -> Option<(u64, &str)> {
    let (address, rest) = line.split_once(" <")?;
    let name = rest.strip_suffix(">:")?;
    Some((u64::from_str_radix(address, 16).ok()?, name))
}

/// The bytes by which an instruction lowers the stack pointer; `None` when nobody knows.
fn grows(mnemonic: &str, operands: &str) -> Option<u64> {
    let stem = mnemonic.trim_end_matches(".w").trim_end_matches(".n");
    match stem {
        "push" => Some(registers(operands)),
        "vpush" => Some(registers(operands)),
        "stmdb" | "vstmdb" if operands.starts_with("sp!") => Some(registers(operands)),
        "sub" | "subw" if operands.starts_with("sp,") => {
            let amount = operands.rsplit('#').next().filter(|_| operands.contains('#'))?;
            amount.split_whitespace().next()?.parse().ok()
        }
        "str" if operands.contains("[sp, #-") && operands.contains("]!") => {
            operands.split("#-").nth(1)?.split(']').next()?.parse().ok()
        }
        _ => Some(0),
    }
}

/// The bytes of a list such as `{r4, r5, lr}` or `{d8-d15}`.
fn registers(operands: &str) -> u64 {
    let list = operands.split('{').nth(1).and_then(|l| l.split('}').next()).unwrap_or("");
    list.split(',')
        .map(|item| {
            let item = item.trim();
            let size = if item.starts_with('d') { 8 } else { 4 };
            let number = |r: &str| r.trim_start_matches(|c: char| c.is_alphabetic()).parse::<u64>();
            match item.split_once('-').map(|(a, b)| (number(a), number(b))) {
                Some((Ok(first), Ok(last))) => size * (last.saturating_sub(first) + 1),
                _ => size,
            }
        })
        .sum()
}

/// The function that an instruction calls or jumps to, or `Err` when only a register knows.
fn callee<'a>(mnemonic: &str, operands: &'a str) -> Option<Result<&'a str, ()>> {
    let stem = mnemonic.trim_end_matches(".w").trim_end_matches(".n");
    let condition = stem.strip_prefix("bl").or_else(|| stem.strip_prefix('b'));
    let branch = condition.is_some_and(|c| c.is_empty() || CONDITIONS.contains(&c))
        // "bls" is a conditional jump, no conditional call; both go to the same name.
        || stem == "bls";
    if stem == "blx" || (stem == "bx" && operands.trim() != "lr") {
        return match operands.split('<').nth(1) {
            Some(rest) => rest.split('>').next().map(Ok),
            None => Some(Err(())),
        };
    }
    if !branch {
        return None;
    }
    let name = operands.split('<').nth(1)?.split('>').next()?;
    // A place inside a function is a jump of its own.
    (!name.contains('+')).then_some(Ok(name))
}

fn descend<'a>(
    functions: &'a BTreeMap<String, Function>,
    name: &'a str,
    chain: &mut Vec<&'a str>,
    reached: &mut BTreeSet<&'a str>,
) -> Result<u64, String> {
    if chain.contains(&name) {
        return Err(format!("{} recurses through {name}", chain.join(" → ")));
    }
    let Some(function) = functions.get(name) else {
        return Err(format!("{} calls {name}, which is not in the image", chain.join(" → ")));
    };
    reached.insert(name);
    chain.push(name);
    let mut deepest = 0;
    for callee in &function.calls {
        deepest = deepest.max(descend(functions, callee, chain, reached)?);
    }
    chain.pop();
    Ok(function.frame + deepest)
}

/// As a table of comma-separated values, one function a line.
pub fn to_csv(footprints: &BTreeMap<String, Footprint>) -> String {
    let mut text = String::from("function,code_bytes,stack_bytes\n");
    for (name, footprint) in footprints {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name},{},{}", footprint.code, footprint.stack);
    }
    text
}

/// What grew beyond a committed table, by more than a quarter and 256 bytes: compilers differ. A
/// function without a line in it, or a line without a function, is a complaint too.
///
/// # Errors
/// A line that is none of the table's.
pub fn compare(committed: &str, now: &BTreeMap<String, Footprint>) -> Result<Vec<String>, String> {
    let mut before = BTreeMap::new();
    for (number, line) in committed.lines().enumerate().skip(1) {
        let mut fields = line.split(',');
        let (name, code, stack) = (fields.next(), fields.next(), fields.next());
        match (name, code.and_then(|c| c.parse().ok()), stack.and_then(|s| s.parse().ok())) {
            (Some(name), Some(code), Some(stack)) => {
                before.insert(name.to_owned(), Footprint { code, stack });
            }
            _ => return Err(format!("line {}: `{line}`", number + 1)),
        }
    }
    let limit = |bytes: u64| bytes + bytes / 4 + 256;
    let mut complaints = Vec::new();
    for (name, is) in now {
        match before.remove(name) {
            None => complaints.push(format!("{name} is not in the table")),
            Some(was) if is.code > limit(was.code) => {
                complaints.push(format!("{name}: {} bytes of code, {} before", is.code, was.code));
            }
            Some(was) if is.stack > limit(was.stack) => {
                complaints
                    .push(format!("{name}: {} bytes of stack, {} before", is.stack, was.stack));
            }
            Some(_) => {}
        }
    }
    complaints.extend(before.keys().map(|name| format!("{name} does not exist any more")));
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "
00000100 <rf_outer>:
     100:\te92d 4ff0 \tstmdb\tsp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}
     104:\ted2d 8b04 \tvpush\t{d8-d9}
     108:\tf5ad 7d03 \tsub.w\tsp, sp, #524\t@ 0x20c
     10c:\tf000 f800 \tbl\t110 <inner>
     110:\td0fe      \tbeq.n\t10c <rf_outer+0xc>
     112:\tbf00      \tnop

00000120 <inner>:
     120:\tb510      \tpush\t{r4, lr}
     122:\tb082      \tsub\tsp, #8
     124:\t4770      \tbx\tlr
";

    const SYMBOLS: &str = "00000120 T inner\n00000100 T rf_again\n00000100 T rf_outer\n";

    #[test]
    fn frames_and_callees_add_up() {
        let found = measure(IMAGE, SYMBOLS, "rf_").expect("understood");
        let inner = 16;
        let want = Footprint { code: 0x20 + 8, stack: 36 + 16 + 524 + inner };
        let names = ["rf_again", "rf_outer"].map(|name| (name.to_owned(), want));
        assert_eq!(found, BTreeMap::from(names));
        assert_eq!(compare(&to_csv(&found), &found), Ok(Vec::new()));
    }

    #[test]
    fn growth_pointers_and_recursion_are_found() {
        let found = measure(IMAGE, SYMBOLS, "rf_").expect("understood");
        let small = "function,code_bytes,stack_bytes\nrf_outer,40,100\nrf_gone,1,1\n";
        let complaints = compare(small, &found).expect("a table");
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        let pointer = IMAGE.replace("bl\t110 <inner>", "blx\tr3");
        assert!(measure(&pointer, SYMBOLS, "rf_").is_err_and(|e| e.contains("pointer")));
        let cycle =
            IMAGE.replace("nop", "b.w\t100 <rf_outer>").replace("bx\tlr", "b.w\t100 <rf_outer>");
        assert!(measure(&cycle, SYMBOLS, "rf_").is_err_and(|e| e.contains("recurses")));
        let dynamic = IMAGE.replace("sub\tsp, #8", "sub.w\tsp, sp, r4");
        assert!(measure(&dynamic, SYMBOLS, "rf_").is_err());
    }
}

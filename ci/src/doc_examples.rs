//! Which public functions of a library no example in its documentation calls, and which types none names: a
//! list that may only get shorter.
//!
//! A method has an example when a code block calls it by name in the documentation of its type or trait
//! or of a method there; a function, when one does in the documentation of its module or of anything in
//! that module; so it is with types.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use relfisher_ci::repository::root;

/// Compares the functions without example of the library that `json` describes with the list in the file
/// `name`; with `update` writes it, unless it would grow.
pub(crate) fn check(json: &Path, name: &str, update: bool) -> Result<Option<String>, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", json.display());
    let text = fs::read_to_string(json).map_err(|e| failed(&e))?;
    let library: Value = serde_json::from_str(&text).map_err(|e| failed(&e))?;
    let (bare, all) = without_example(&library);
    let path = root().join(name);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeSet<String> = old.lines().map(str::to_owned).collect();
    let new: Vec<&String> = bare.difference(&known).collect();
    if !new.is_empty() && path.exists() {
        let names: Vec<&str> = new.iter().map(|name| name.as_str()).collect();
        return Ok(Some(format!("no example calls or names {}: document one", names.join(", "))));
    }
    if update {
        let lines: String = bare.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&path, lines).map_err(|e| format!("{name}: {e}"))?;
    } else if bare != known {
        let surplus = known.difference(&bare).next().map_or("", String::as_str);
        return Ok(Some(format!(
            "{name}: {surplus} has an example now, or is gone: run `cargo ci api --update`"
        )));
    }
    println!("{name}: an example shows {} of {all} public functions and types", all - bare.len());
    Ok(None)
}

/// The public functions and types without example, by path, and the number of all.
fn without_example(library: &Value) -> (BTreeSet<String>, usize) {
    let mut walk =
        Walk { index: &library["index"], seen: HashSet::new(), bare: BTreeSet::new(), all: 0 };
    walk.module(&library["root"], "");
    (walk.bare, walk.all)
}

struct Walk<'a> {
    index: &'a Value,
    seen: HashSet<String>,
    bare: BTreeSet<String>,
    all: usize,
}

/// The key of an item: ids are numbers, keys text.
fn key(id: &Value) -> String {
    id.as_u64().map_or_else(|| id.as_str().unwrap_or_default().to_owned(), |id| id.to_string())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl<'a> Walk<'a> {
    /// An item of this crate; others have no entry.
    fn item(&self, id: &Value) -> Option<&'a Value> {
        self.index.get(key(id)).filter(|item| item["crate_id"] == 0)
    }

    fn module(&mut self, id: &Value, path: &str) {
        let Some(module) = self.item(id) else { return };
        if !self.seen.insert(key(id)) {
            return;
        }
        let path = format!("{path}{}::", module["name"].as_str().unwrap_or_default());
        self.items(module, &module["inner"]["module"]["items"], &path);
    }

    /// The public items of a module, whose functions share the examples of all of them.
    fn items(&mut self, module: &'a Value, ids: &'a Value, path: &str) {
        let mut scope = Scope { functions: Vec::new(), types: Vec::new(), code: examples(module) };
        for id in list(ids) {
            let Some(item) = self.item(id).filter(|item| item["visibility"] == "public") else {
                continue;
            };
            self.visit(item, id, path, &mut scope);
        }
        self.judge(&scope, path);
    }

    fn visit(&mut self, item: &'a Value, id: &Value, path: &str, scope: &mut Scope<'a>) {
        let inner = &item["inner"];
        if inner.get("module").is_some() {
            return self.module(id, path);
        }
        if let Some(import) = inner.get("use") {
            let Some(target) = self.item(&import["id"]) else { return };
            if import["is_glob"] == true {
                self.items(target, &target["inner"]["module"]["items"], path);
            } else if target["visibility"] == "public" {
                self.visit(target, &import["id"], path, scope);
            }
            return;
        }
        if !self.seen.insert(key(id)) {
            return;
        }
        if inner.get("function").is_some() {
            scope.code.push_str(&examples(item));
            scope.functions.push(item);
        } else if let Some(kind) = ["struct", "enum", "union"].iter().find_map(|k| inner.get(k)) {
            let own = list(&kind["impls"])
                .filter_map(|id| self.item(id))
                .map(|block| &block["inner"]["impl"])
                .filter(|block| block["trait"].is_null())
                .flat_map(|block| list(&block["items"]))
                .filter_map(|id| self.item(id))
                .filter(|method| method["visibility"] == "public");
            let methods = own.collect();
            self.of_type(item, methods, path, scope);
        } else if let Some(interface) = inner.get("trait") {
            let methods = list(&interface["items"]).filter_map(|id| self.item(id)).collect();
            self.of_type(item, methods, path, scope);
        }
    }

    /// The methods of a type or trait, which share its examples; these serve the module's functions too.
    fn of_type(
        &mut self,
        owner: &'a Value,
        mut methods: Vec<&'a Value>,
        path: &str,
        module: &mut Scope<'a>,
    ) {
        methods.retain(|method| method["inner"].get("function").is_some());
        let shown: String = methods.iter().map(|method| examples(method)).collect();
        let scope = Scope { functions: methods, types: Vec::new(), code: examples(owner) + &shown };
        let path = format!("{path}{}::", owner["name"].as_str().unwrap_or_default());
        self.judge(&scope, &path);
        module.code.push_str(&scope.code);
        module.types.push(owner);
    }

    fn judge(&mut self, scope: &Scope<'a>, path: &str) {
        let functions = scope.functions.iter().map(|item| (item, calls as fn(&str, &str) -> bool));
        let types = scope.types.iter().map(|item| (item, names as fn(&str, &str) -> bool));
        for (item, shows) in functions.chain(types) {
            let name = item["name"].as_str().unwrap_or_default();
            self.all += 1;
            if !shows(&scope.code, name) {
                self.bare.insert(format!("{path}{name}"));
            }
        }
    }
}

/// Functions and types, and the examples that may show them.
struct Scope<'a> {
    functions: Vec<&'a Value>,
    types: Vec<&'a Value>,
    code: String,
}

/// The examples of an item.
fn examples(item: &Value) -> String {
    item["docs"].as_str().map(code).unwrap_or_default()
}

/// The code blocks of a documentation that run; text and refused examples are none.
fn code(docs: &str) -> String {
    let mut out = String::new();
    let mut inside: Option<bool> = None;
    for line in docs.lines() {
        if let Some(tags) = line.trim_start().strip_prefix("```") {
            let runs =
                !["text", "ignore", "no_run", "compile_fail"].iter().any(|t| tags.contains(t));
            inside = if inside.is_some() { None } else { Some(runs) };
        } else if inside == Some(true) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Whether a name is called: it stands alone before a bracket, maybe with type arguments between.
fn calls(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        !before.ends_with(part) && (after.starts_with('(') || after.starts_with("::<"))
    })
}

/// Whether a name stands alone.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name)
        .any(|(at, _)| !code[..at].ends_with(part) && !code[at + name.len()..].starts_with(part))
}

/// A character of a name.
fn part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{calls, code, names, without_example};

    #[test]
    fn only_code_that_runs_counts() {
        let docs = "one\n```\nf(1);\n```\nf(2)\n```text\nf(3)\n```\n```no_run\nf(4)\n```\n";
        assert_eq!(code(docs), "f(1);\n");
    }

    #[test]
    fn a_call_is_a_whole_name_before_a_bracket() {
        assert!(calls("x.solve(1)", "solve") && calls("solve::<f64>(1)", "solve"));
        assert!(!calls("resolve(1)", "solve") && !calls("solve_all(1)", "solve"));
        assert!(!calls("use a::solve;", "solve"));
    }

    #[test]
    fn a_type_is_named_as_a_whole() {
        assert!(names("let a: Mat<f32>;", "Mat") && names("use a::Mat;", "Mat"));
        assert!(!names("MatRef", "Mat") && !names("AMat", "Mat"));
    }

    fn library() -> Value {
        let function = |name: &str, docs: &str| {
            json!({ "crate_id": 0, "name": name, "docs": docs, "visibility": "public",
                "inner": { "function": {} } })
        };
        let mut hidden = function("hidden", "");
        hidden["visibility"] = json!("default");
        json!({ "root": 0, "index": {
            "0": { "crate_id": 0, "name": "a", "docs": "", "visibility": "public",
                "inner": { "module": { "items": [1, 2, 3, 4, 7] } } },
            "1": function("shown", "```\nshown(); sibling();\n```"),
            "2": function("sibling", ""),
            "3": function("bare", "bare() in words only"),
            "4": { "crate_id": 0, "name": "T", "docs": "```\nt.method();\n```", "visibility": "public",
                "inner": { "struct": { "impls": [5] } } },
            "5": { "crate_id": 0, "name": null, "docs": null, "visibility": "default",
                "inner": { "impl": { "trait": null, "items": [6, 8] } } },
            "6": function("method", ""),
            "7": hidden,
            "8": function("lonely", ""),
        } })
    }

    #[test]
    fn functions_are_found_through_modules_and_types() {
        let (bare, all) = without_example(&library());
        assert_eq!(all, 6);
        assert_eq!(bare.into_iter().collect::<Vec<_>>(), ["a::T", "a::T::lonely", "a::bare"]);
    }
}

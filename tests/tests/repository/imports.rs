//! Which files of a crate use which, as their `use` lines and paths say: so that tests can hold how the code is built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module: the names from the crate's root down to it.
pub(crate) type Module = Vec<String>;

/// A crate's files, by module, and which of them each uses.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// Where each module is written.
    pub(crate) files: BTreeMap<Module, PathBuf>,
    /// What each takes from others, and the path that it names.
    pub(crate) uses: BTreeMap<Module, BTreeSet<(Module, String)>>,
}

impl Imports {
    /// Of a crate's sources: each file with its text, and the folder that its root is in.
    pub(crate) fn of(root: &Path, sources: &[(PathBuf, String)]) -> Self {
        let inside = |path: &PathBuf| Some((module_of(path.strip_prefix(root).ok()?)?, path.clone()));
        let files: BTreeMap<Module, PathBuf> = sources.iter().filter_map(|(path, _)| inside(path)).collect();
        let mut imports = Self { files, uses: BTreeMap::new() };
        for (path, text) in sources {
            let Some((module, _)) = inside(path) else { continue };
            let uses = paths(text).into_iter().filter_map(|path| {
                let used = imports.resolve(&module, &path)?;
                (used != module).then(|| (used, path.join("::")))
            });
            let uses = uses.collect();
            imports.uses.insert(module, uses);
        }
        imports
    }

    /// The module that a path means, where it is said in MODULE; nothing, if it leads out of the crate.
    fn resolve(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Module::new(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            "self" => module.clone(),
            child => {
                let child: Module = module.iter().cloned().chain([child.to_owned()]).collect();
                return self.files.contains_key(&child).then(|| self.descend(child, &path[1..]));
            }
        };
        let mut rest = &path[1..];
        while rest.first().is_some_and(|name| name == "super") {
            at.pop()?;
            rest = &rest[1..];
        }
        Some(self.descend(at, rest))
    }

    /// As far down as there are files for.
    fn descend(&self, mut at: Module, path: &[String]) -> Module {
        for name in path {
            at.push(name.clone());
            if !self.files.contains_key(&at) {
                at.pop();
                break;
            }
        }
        at
    }

    /// A circle of modules that use each other, if there is one: each with the path by which it takes from the next.
    pub(crate) fn circle(&self) -> Option<Vec<(Module, String)>> {
        let mut done = BTreeSet::new();
        self.files.keys().find_map(|start| self.circle_from(start, &mut Vec::new(), &mut done))
    }

    fn circle_from(
        &self,
        module: &Module,
        way: &mut Vec<(Module, String)>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<(Module, String)>> {
        if let Some(begin) = way.iter().position(|(on_the_way, _)| on_the_way == module) {
            return Some(way[begin..].to_vec());
        }
        if done.contains(module) {
            return None;
        }
        for (used, path) in self.uses.get(module).into_iter().flatten() {
            way.push((module.clone(), path.clone()));
            if let Some(circle) = self.circle_from(used, way, done) {
                return Some(circle);
            }
            way.pop();
        }
        done.insert(module.clone());
        None
    }
}

/// The module that a file holds, by its place below the crate's root.
fn module_of(path: &Path) -> Option<Module> {
    let names = path.with_extension("");
    let mut module: Module = names.iter().map(|name| name.to_str().map(str::to_owned)).collect::<Option<_>>()?;
    if module.last().is_some_and(|name| name == "mod") || module == ["lib"] || module == ["main"] {
        module.pop();
    }
    Some(module)
}

/// The paths that a source names: in `use` lines, grouped ones taken apart, and from `crate`, `super` or `self` in its code.
pub(crate) fn paths(source: &str) -> Vec<Vec<String>> {
    let code: String =
        source.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    // Who may see something isn't what it takes.
    let code = regex_lite::Regex::new(r"\bpub\(in [^)]*\)").expect("a pattern").replace_all(&code, "pub");
    let uses = regex_lite::Regex::new(r"\buse\s+([^;]+);").expect("a pattern");
    let inline = regex_lite::Regex::new(r"\b(?:crate|super|self)(?:::[A-Za-z_]\w*)+").expect("a pattern");
    let mut found: Vec<Vec<String>> = uses.captures_iter(&code).flat_map(|found| take_apart(&found[1])).collect();
    let rest = uses.replace_all(&code, "");
    found.extend(inline.find_iter(&rest).map(|path| path.as_str().split("::").map(str::to_owned).collect()));
    found
}

/// The single paths of a tree such as `a::{b, c::{d, e}}`.
fn take_apart(tree: &str) -> Vec<Vec<String>> {
    let Some((before, inner)) = tree.split_once('{') else {
        let names = tree.split("::").map(|name| name.split_whitespace().next().unwrap_or_default().to_owned());
        return vec![names.filter(|name| !name.is_empty()).collect()];
    };
    let begin: Vec<String> =
        before.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            (c, _) => parts.last_mut().expect("one").push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| take_apart(part)).map(|path| begin.iter().cloned().chain(path).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle_of(sources: &[(&str, &str)]) -> Option<Vec<String>> {
        let sources: Vec<(PathBuf, String)> =
            sources.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        let circle = Imports::of(Path::new("src"), &sources).circle()?;
        Some(circle.into_iter().map(|(module, _)| module.join("::")).collect())
    }

    #[test]
    fn grouped_paths_are_taken_apart() {
        let found = paths("use crate::a::{self, b::{C, D as E}};\nfn f() { super::g::h() } // crate::no\n");
        let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::D", "super::g::h"]);
    }

    #[test]
    fn a_circle_is_found_through_every_kind_of_path() {
        let lib = ("src/lib.rs", "mod a;\nmod b;");
        assert_eq!(circle_of(&[lib, ("src/a.rs", "use crate::b::X;"), ("src/b.rs", "")]), None);
        let two = circle_of(&[lib, ("src/a.rs", "use crate::b::X;"), ("src/b.rs", "fn f() { super::a::g() }")]);
        assert_eq!(two, Some(vec!["a".to_owned(), "b".to_owned()]));
        let child =
            circle_of(&[lib, ("src/a/mod.rs", "mod c;\nuse c::X;"), ("src/a/c.rs", "use super::Y;"), ("src/b.rs", "")]);
        assert_eq!(child, Some(vec!["a".to_owned(), "a::c".to_owned()]));
    }
}

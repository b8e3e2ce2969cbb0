//! What a file is, and whether it fits this host.

use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex},
};

use super::{
    INTERFACE_VERSION,
    description::Kind,
    wasi::{self, is_refused},
};

const MAGIC: &[u8; 4] = b"\0asm";
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
const MODULE: [u8; 4] = [1, 0, 0, 0];
const HOW_TO_BUILD: &str = "build it with `projectionist build` or for the target wasm32-wasip2";

/// Says what a file is if it is obviously no component.
pub(super) fn check_form(wasm: &[u8]) -> Result<(), String> {
    if wasm.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if wasm.len() < 8 && MAGIC.starts_with(&wasm[..wasm.len().min(4)]) {
        return Err(truncated(wasm.len()));
    }
    match wasm.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(&COMPONENT) => Ok(()),
        Some(rest) if rest.starts_with(&MODULE) => {
            Err(format!("it is a core module: {HOW_TO_BUILD}, or wrap it with `wasm-tools component new`"))
        }
        Some(_) => Err("it is WebAssembly of a version that this host does not know".to_owned()),
        None => Err(match std::str::from_utf8(wasm) {
            Ok(text) if text.trim_start().starts_with('(') => {
                "it is WebAssembly in its text format: translate it with `wasm-tools parse`".to_owned()
            }
            Ok(_) => format!("it is a text file; a plug-in is a compiled component: {HOW_TO_BUILD}"),
            Err(_) => format!("it does not begin like WebAssembly (\\0asm): {HOW_TO_BUILD}"),
        }),
    }
}

/// Whether a file names the interface that upcasters export, which hardly anything else does. It says so
/// before anything has been compiled.
pub fn names_upcaster(wasm: &[u8]) -> bool {
    memchr::memmem::find(wasm, b"projectionist:plugin/upcaster@").is_some()
}

/// Says what is wrong with a component that the compiler refuses.
pub(super) fn explain(wasm: &[u8], error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    if ["unexpected end", "is out of bounds (bound"].iter().any(|sign| text.contains(sign)) {
        return truncated(wasm.len());
    }
    // What lies around the cause names functions by their mangled symbols.
    let cause = error.root_cause().to_string();
    let cause: Vec<_> = cause.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("it is damaged or uses what this host does not allow: {}", cause.join(" "))
}

fn truncated(bytes: usize) -> String {
    format!("it is truncated: it ends after {bytes} bytes, in the middle (still being copied?)")
}

/// What kind of plug-in a component is, or which import or export does not fit
/// this host.
pub(super) fn check_fit(engine: &Engine, component: &Component) -> Result<Kind, String> {
    let component = component.component_type();
    let imports: Vec<&str> = component.imports(engine).map(|(name, _)| name).collect();
    let exports: Vec<&str> = component.exports(engine).map(|(name, _)| name).collect();
    for name in imports.iter().chain(&exports) {
        if let Some(theirs) = interface_version(name).filter(|theirs| *theirs != INTERFACE_VERSION) {
            return Err(format!(
                "it speaks projectionist:plugin {theirs}, this host speaks {INTERFACE_VERSION}: rebuild it with \
                 the SDK of version {INTERFACE_VERSION}, or run a host that speaks {theirs}"
            ));
        }
    }
    let unknown: Vec<&str> = imports.into_iter().filter(|name| !is_known(name)).collect();
    if !unknown.is_empty() {
        return Err(format!("it imports {}, which a plug-in's sandbox does not have", unknown.join(" and ")));
    }
    let [plugin, projection, reaction, upcaster] = ["plugin", "projection", "reaction", "upcaster"]
        .map(|interface| format!("projectionist:plugin/{interface}@{INTERFACE_VERSION}"));
    let exports = |name: &str| exports.contains(&name);
    if !exports(&plugin) {
        return Err(format!("it does not export {plugin}: a plug-in must"));
    }
    let kinds = [(Kind::Projection, projection), (Kind::Reaction, reaction), (Kind::Upcaster, upcaster)];
    let is: Vec<&(Kind, String)> = kinds.iter().filter(|(_, interface)| exports(interface)).collect();
    match is[..] {
        [(kind, _)] => Ok(*kind),
        [] => {
            let [(_, projection), (_, reaction), (_, upcaster)] = &kinds;
            Err(format!(
                "it exports neither {projection} nor {reaction} nor {upcaster}: a plug-in must be one of them"
            ))
        }
        [(_, one), (_, other), ..] => {
            Err(format!("it exports both {one} and {other}: make two plug-ins of it"))
        }
    }
}

/// A function of one of the interfaces that a plug-in exports.
pub(super) fn export(component: &Component, interface: &str, function: &str) -> Option<ComponentExportIndex> {
    let interface = format!("projectionist:plugin/{interface}@{INTERFACE_VERSION}");
    let interface = component.get_export_index(None, &interface)?;
    component.get_export_index(Some(&interface), function)
}

/// Whether a component imports an interface, of whichever version.
pub(super) fn imports(engine: &Engine, component: &Component, interface: &str) -> bool {
    let component = component.component_type();
    component.imports(engine).any(|(name, _)| name.split('@').next() == Some(interface))
}

fn interface_version(name: &str) -> Option<&str> {
    let (_, version) = name.strip_prefix("projectionist:plugin/")?.split_once('@')?;
    Some(version)
}

fn is_known(import: &str) -> bool {
    if is_refused(import) {
        return true;
    }
    let (path, version) = import.split_once('@').unwrap_or((import, ""));
    let package = path.split('/').next().unwrap_or(path);
    match package {
        "projectionist:plugin" => {
            matches!(path, "projectionist:plugin/state" | "projectionist:plugin/events")
        }
        _ => wasi::PACKAGES.contains(&package) && version.starts_with("0.2."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_named() {
        for (bytes, reason) in [
            (&b""[..], "empty"),
            (b"\0as", "truncated"),
            (b"\0asm\x0d\0", "truncated"),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\0asm\x02\0\0\0", "version"),
            (b"(component)", "text format"),
            (b"dear projectionist,", "text file"),
            (b"\x7fELF\xff\xfe..", "does not begin"),
        ] {
            let error = check_form(bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(check_form(b"\0asm\x0d\0\x01\0"), Ok(()));
    }

    #[test]
    fn imports_are_known_by_package_and_version() {
        for known in [
            "wasi:io/streams@0.2.6",
            "wasi:random/random@0.2.0",
            "wasi:sockets/tcp@0.2.3",
            "wasi:http/outgoing-handler@0.2.0",
            "projectionist:plugin/state@0.1.0",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["wasi:io/streams@0.3.0", "wasi:keyvalue/store@0.2.0", "my:own/thing", "thing"] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}

//! `{{NAME}}` in a text, filled in; a name that nobody knows is an error, not an empty string.

use anyhow::{Context, Result};

pub(super) fn fill(text: &str, value_of: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").context("`{{` without `}}`")?;
        let name = name.trim();
        let value = value_of(name)
            .with_context(|| format!("the template asks for {{{{{name}}}}}, which is not known"))?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        match name {
            "JS" => Some("/assets/app-1.js".to_owned()),
            "ASSET:map.bin" => Some("/assets/map-2.bin".to_owned()),
            "TRICKY" => Some("{{JS}}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn placeholders_are_filled_once_and_the_rest_is_kept() {
        let text = "<a {{JS}}><b {{ ASSET:map.bin }}>{x}{{TRICKY}}";
        let expected = "<a /assets/app-1.js><b /assets/map-2.bin>{x}{{JS}}";
        assert_eq!(fill(text, &known).unwrap(), expected);
    }

    #[test]
    fn an_unknown_or_unclosed_placeholder_is_refused() {
        let error = fill("{{ASSET:gone.bin}}", &known).unwrap_err().to_string();
        assert!(error.contains("{{ASSET:gone.bin}}"), "{error}");
        assert!(fill("{{JS", &known).is_err());
    }
}

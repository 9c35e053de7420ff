//! Self-contained HTML pages from templates that are part of the program.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::{Error, Result};

/// The style of all pages: light, dark and printed.
const STYLE: &str = include_str!("../templates/style.css");

/// Fills a template; every value is escaped but those marked by [`markup`]. `style` is set.
pub(crate) fn render(template: &str, context: Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_global("style", markup(STYLE.to_owned()));
    environment
        .render_str(template, context)
        .map_err(|error| Error::failed(format!("the page cannot be made: {error:#}")))
}

/// Text that goes into a page as it is.
pub(crate) fn markup(text: String) -> Value {
    Value::from_safe_string(text)
}

/// Bytes in base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_missing_ones_refused() -> Result<()> {
        let template = "<p title=\"{{ a }}\">{{ a }}{{ b }}</p>";
        let context = minijinja::context! { a => "<script>\"&'", b => markup("<b>".into()) };
        let page = render(template, context)?;
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.ends_with("<b></p>"), "{page}");
        assert!(render("{{ missing }}", minijinja::context! {}).is_err());
        Ok(())
    }
}

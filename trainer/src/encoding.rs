//! What a model file says of how a sample becomes its input.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::Framing;
use crate::data::format::Source;
use crate::{Error, Result};

/// The metadata's `encoding` of a still picture.
const DIRECT: &str = "direct";

/// How the samples of a data set become the input of a network: as JSON in the metadata of a model
/// file, or `direct` where there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// Where the samples are, for a data set that is not known by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How events become frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<Framing>,
}

impl Encoding {
    /// That of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            source: config.data.source.clone(),
            frames: config.data.frames.clone(),
        }
    }

    /// Reads the metadata's text.
    ///
    /// # Errors
    /// [`Error::Usage`] for another text than [`Encoding::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self> {
        if text == DIRECT || text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| {
            Error::usage(format!(
                "the model says that its input is encoded by `{text}`, which this version does \
                 not know ({error}); use the version that wrote it"
            ))
        })
    }

    /// The metadata's text.
    ///
    /// # Errors
    /// Never for a checked configuration.
    pub fn to_text(&self) -> Result<String> {
        if *self == Self::default() {
            return Ok(DIRECT.into());
        }
        serde_json::to_string(self).map_err(|error| Error::failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frames: Framing = toml::from_str("step = 25\ngroup = 4").unwrap();
        let encoding = Encoding {
            source: None,
            frames: Some(frames),
        };
        for encoding in [Encoding::default(), encoding] {
            let text = encoding.to_text().unwrap();
            assert_eq!(Encoding::from_text(&text).unwrap(), encoding);
        }
        let error = Encoding::from_text("latency").unwrap_err().to_string();
        assert!(error.contains("`latency`"), "{error}");
    }
}

//! Formats of one file a sample: which files there are, and the class of each.

use super::{Labelling, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::{Error, Result};

/// Names of the files of a part that end in one of `endings`, each with its class, in order.
///
/// # Errors
/// [`Error::Usage`] naming a file whose class cannot be told, or the list that is wrong.
pub(super) fn labelled(
    files: &Files,
    part: Part,
    source: &Source,
    endings: &[&str],
) -> Result<Vec<(String, usize)>> {
    let place = source.known_place(part)?;
    if let Some(list) = files.find(place) {
        return named(files, list, listed(files, list, source, endings));
    }
    let below = files.below(place);
    let ours = below.filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
    let mut names: Vec<&str> = ours.collect();
    if let Some(first_of_train) = source.test_takes {
        let mut kept = Vec::new();
        for name in names {
            let take = number_at_end(stem(name)).ok_or_else(|| {
                Error::usage(format!(
                    "{}: its name ends with no number, which data.source.test_takes asks for",
                    files.path(name)
                ))
            })?;
            if (take < first_of_train as usize) == (part == Part::Test) {
                kept.push(name);
            }
        }
        names = kept;
    }
    if names.is_empty() {
        return Err(Error::usage(format!(
            "{} holds no file that ends in {}",
            files.path(place),
            endings.join(" or ")
        )));
    }
    let folders = folders(&names);
    let class = |name: &str| {
        let number = match source.label {
            Labelling::Folder => match folder(name).parse() {
                Ok(number) => Some(number),
                // Alphabetical order counts from the first class on.
                Err(_) => folders
                    .binary_search(&folder(name))
                    .ok()
                    .map(|at| at + source.first_class),
            },
            Labelling::Stem => stem(name).parse().ok(),
            Labelling::Prefix => number_at_start(stem(name)),
        };
        let number = number.ok_or_else(|| {
            Error::usage(format!(
                "the name says no class (data.source.label = {:?})",
                source.label
            ))
        })?;
        source.class(number)
    };
    let labelled = |name: &str| Ok((name.to_owned(), named(files, name, class(name))?));
    names.into_iter().map(labelled).collect()
}

/// The files that a list of two columns, sample and class, names: they lie beside the list.
fn listed(
    files: &Files,
    list: &str,
    source: &Source,
    endings: &[&str],
) -> Result<Vec<(String, usize)>> {
    let text = String::from_utf8(files.read(list)?)
        .map_err(|_| Error::usage("it is no text: a list of samples and classes is wanted"))?;
    let beside = list.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |cause: String| Error::usage(format!("line {}: {cause}", index + 1));
        let line = line.trim();
        let mut columns = line
            .split([' ', '\t', ','])
            .filter(|column| !column.is_empty());
        let (sample, class) = (columns.next(), columns.next());
        let (Some(sample), Some(class), None) = (sample, class, columns.next()) else {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            return Err(wrong(format!("`{line}` is not a sample and its class")));
        };
        let Ok(class) = class.parse() else {
            if index == 0 {
                // Names of the columns.
                continue;
            }
            return Err(wrong(format!("`{class}` is no class")));
        };
        let class = source
            .class(class)
            .map_err(|error| wrong(error.to_string()))?;
        let folder = if beside.is_empty() {
            String::new()
        } else {
            format!("{beside}/")
        };
        let mut names = endings
            .iter()
            .map(|ending| format!("{folder}{sample}{ending}"));
        let exact = format!("{folder}{sample}");
        let found = names.find(|name| files.find(name).is_some());
        let found = found.or_else(|| files.find(&exact).map(str::to_owned));
        let name = found.ok_or_else(|| wrong(format!("the sample {exact} is not there")))?;
        samples.push((name, class));
    }
    if samples.is_empty() {
        return Err(Error::usage("it lists no samples"));
    }
    Ok(samples)
}

/// Names of the folders of class, in order.
fn folders<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let mut folders: Vec<&str> = names.iter().map(|name| folder(name)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// The name of the folder that a file lies in.
fn folder(name: &str) -> &str {
    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
    parent.rsplit('/').next().unwrap_or(parent)
}

/// A file's name without folders and ending.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = file.strip_suffix(".gz").unwrap_or(file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn number_at_start(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

fn number_at_end(text: &str) -> Option<usize> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    text[text.len() - digits..].parse().ok()
}

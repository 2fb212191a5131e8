//! Markdown, taken apart as far as the documents use it.

use crate::world::documents;

/// A document, taken apart.
pub(super) struct Document {
    pub name: String,
    /// Paragraphs, list items and quotations.
    pub prose: Vec<String>,
    pub headings: Vec<String>,
    pub cells: Vec<String>,
    /// Code in a line of text, or a line of a block of commands.
    pub code: Vec<String>,
}

/// Every document of the project.
pub(super) fn documents() -> Vec<Document> {
    documents::all().into_iter().map(|(name, text)| Document::parse(name, &text)).collect()
}

impl Document {
    /// Takes Markdown apart, as far as these documents use it.
    pub(super) fn parse(name: String, text: &str) -> Self {
        let mut document = Self {
            name,
            prose: Vec::new(),
            headings: Vec::new(),
            cells: Vec::new(),
            code: Vec::new(),
        };
        let mut fence: Option<&str> = None;
        let mut in_paragraph = false;
        for line in text.lines() {
            // A drawing, set as code by its indent.
            if !in_paragraph && fence.is_none() && line.starts_with("    ") {
                continue;
            }
            let line = line.trim();
            if let Some(language) = line.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language) };
                in_paragraph = false;
            } else if let Some(language) = fence {
                if language == "sh" {
                    document.code.push(line.to_owned());
                }
            } else if line.is_empty() || line.starts_with("<!--") {
                in_paragraph = false;
            } else if line.starts_with('#') {
                document.headings.push(line.trim_start_matches('#').trim().to_owned());
                in_paragraph = false;
            } else if line.starts_with('|') {
                document.cells.extend(line.split('|').map(|cell| cell.trim().to_owned()));
                in_paragraph = false;
            } else {
                let (text, begins) = item(line);
                match document.prose.last_mut().filter(|_| in_paragraph && !begins) {
                    Some(paragraph) => *paragraph = format!("{paragraph} {text}"),
                    None => document.prose.push(text.to_owned()),
                }
                in_paragraph = true;
            }
        }
        let texts = document.prose.iter().chain(&document.cells).chain(&document.headings);
        let inline: Vec<_> =
            texts.flat_map(|text| text.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        document.code.extend(inline);
        document
    }
}

/// The text of a line, and whether it begins an item of a list.
fn item(line: &str) -> (&str, bool) {
    let line = line.trim_start_matches("> ");
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    for (marker, rest) in [("- ", line), ("* ", line), (". ", number)] {
        if let Some(text) = rest.strip_prefix(marker).filter(|_| marker != ". " || rest != line) {
            return (text, true);
        }
    }
    (line, false)
}

/// The sentences of a text, in words. A stop within code ends none.
pub(super) fn sentences(text: &str) -> Vec<Vec<String>> {
    let visible = links(text).into_iter().fold(text.to_owned(), |text, (label, target)| {
        text.replace(&format!("[{label}]({target})"), &label)
    });
    let (mut sentences, mut sentence, mut in_code) = (Vec::new(), Vec::new(), false);
    let words: Vec<_> = visible.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        sentence.push((*word).to_owned());
        in_code ^= word.matches('`').count() % 2 == 1;
        let next = words.get(at + 1).and_then(|next| next.chars().next());
        let ends = word.trim_end_matches(['"', ')', '*']).ends_with(['.', '!', '?']);
        if !in_code && ends && !next.is_some_and(char::is_lowercase) {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    sentences.extend(Some(sentence).filter(|sentence| !sentence.is_empty()));
    sentences
}

/// The links of a text: label and target.
pub(super) fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (target, end) = after.split_once(')').unwrap_or((after, ""));
        let label = before.rsplit_once('[').map_or("", |(_, label)| label);
        links.push((label.to_owned(), target.to_owned()));
        rest = end;
    }
    links
}

/// The anchor that GitHub gives a heading.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

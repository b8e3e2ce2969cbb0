//! Folders that a command line or the settings name.

use std::{fs, path::Path};

use crate::cli::exit::{Exit, Failure};

/// Makes a folder if it is not there. `what` it is: `data folder`.
pub fn make(what: &str, folder: &Path) -> Result<(), Failure> {
    let hint = format!("name a folder as the {what}; what is not there yet is made");
    let wrong = |message: String| Err(Failure::new(Exit::Usage, message).hint(&hint));
    // A folder in a file is as impossible as one in the file's place.
    let file = folder.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir());
    match file {
        Some(file) if file == folder => {
            return wrong(format!("the {what} {} is a file", folder.display()));
        }
        Some(file) => {
            let (folder, file) = (folder.display(), file.display());
            return wrong(format!("the {what} {folder} cannot be created: {file} is a file"));
        }
        None => {}
    }
    fs::create_dir_all(folder).map_err(|error| {
        let message = format!("the {what} {} cannot be created: {error}", folder.display());
        Failure::new(Exit::Failed, message)
            .hint("see to its rights and to those of the folder that it is in, or name another")
    })
}

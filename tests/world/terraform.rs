//! Terraform: a copy of the module and its examples, applied to the emulated AWS.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::aws::REGION;
use super::{environment_variable, project, temporary_folder, world};

/// A copy of the module, its examples and the package, so that the project holds no state.
pub struct Module {
    folder: PathBuf,
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn terraform() -> Command {
    Command::new(project().join("tools/terraform"))
}

/// Whether Terraform can be run.
pub async fn available() -> bool {
    terraform().arg("version").output().await.is_ok_and(|output| output.status.success())
}

impl Module {
    pub async fn copy() -> Self {
        let folder = temporary_folder("terraform");
        let package = Path::new("target/lambda/postgres-secret-rotation");
        std::fs::create_dir_all(folder.join(package)).expect("a folder");
        let built = environment_variable("BOOTSTRAP")
            .map(|bootstrap| PathBuf::from(bootstrap).with_file_name("bootstrap.zip"));
        match built.filter(|zip| zip.exists()) {
            Some(zip) => std::fs::copy(zip, folder.join(package).join("bootstrap.zip")).map(drop),
            // An empty ZIP file is enough: the gateway runs the binary itself.
            None => std::fs::write(
                folder.join(package).join("bootstrap.zip"),
                [b"PK\x05\x06".as_slice(), &[0; 18]].concat(),
            ),
        }
        .expect("the package");
        let copied = Command::new("cp")
            .arg("-R")
            .arg(project().join("terraform"))
            .arg(&folder)
            .status()
            .await;
        assert!(copied.is_ok_and(|status| status.success()), "the module can be copied");
        // State from an earlier apply in the project is not ours.
        let mut clean = Command::new("find");
        clean.arg(&folder).args([
            "(",
            "-name",
            ".terraform*",
            "-o",
            "-name",
            "*.tfstate*",
            ")",
            "-prune",
            "-exec",
            "rm",
            "-rf",
            "{}",
            "+",
        ]);
        assert!(
            clean.status().await.is_ok_and(|status| status.success()),
            "its state can be removed"
        );
        Self { folder }
    }

    /// Writes a configuration in JSON into a folder beside the examples.
    pub fn write(&self, name: &str, configuration: &serde_json::Value) {
        self.write_file(name, "main.tf.json", &configuration.to_string());
    }

    /// A file in a folder beside the examples.
    pub fn write_file(&self, name: &str, file: &str, content: &str) {
        let folder = self.place(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(file), content).expect("the file");
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join("terraform/examples").join(name)
    }

    /// Runs Terraform in that example with these variables; its exit code and its output.
    pub async fn run(
        &self,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> (Option<i32>, String) {
        let mut command = terraform();
        command.arg(format!("-chdir={}", self.place(name).display())).args(arguments);
        command.envs([
            ("AWS_ENDPOINT_URL", world().aws.url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        command.envs([
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("CHECKPOINT_DISABLE", "1"),
        ]);
        command.envs(variables.iter().map(|(name, value)| (format!("TF_VAR_{name}"), *value)));
        command.env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN").kill_on_drop(true);
        // A file keeps the output even if the command takes too long.
        let log = self.place(name).with_extension("log");
        let file = std::fs::File::create(&log).expect("a log");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a log")).stderr(file);
        let mut child = command.spawn().expect("terraform starts");
        let ended = tokio::time::timeout(Duration::from_mins(6), child.wait()).await;
        (
            ended.ok().and_then(|status| status.ok()?.code()),
            std::fs::read_to_string(log).expect("the log"),
        )
    }

    /// Runs Terraform, which has to succeed; its output.
    pub async fn must(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let (code, output) = self.run(name, arguments, variables).await;
        assert!(
            code == Some(0),
            "{name}: terraform {} failed or took more than 6 minutes ({code:?}):\n{output}",
            arguments.join(" ")
        );
        output
    }

    pub async fn apply(&self, name: &str, variables: &[(&str, &str)]) -> String {
        let init = self.must(name, &["init", "-no-color", "-input=false"], &[]).await;
        init + &self
            .must(name, &["apply", "-auto-approve", "-no-color", "-input=false"], variables)
            .await
    }

    /// The value of an output, as JSON.
    pub async fn output(&self, name: &str, output: &str) -> serde_json::Value {
        serde_json::from_str(&self.must(name, &["output", "-json", output], &[]).await)
            .expect("JSON")
    }

    /// The state file.
    pub fn state(&self, name: &str) -> String {
        std::fs::read_to_string(self.place(name).join("terraform.tfstate")).expect("a state")
    }
}

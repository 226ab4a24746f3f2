// Reads a JSON array of HTML pages from stdin, and writes what mail programs do not support of them, as caniemail.com
// knows it: a JSON array of [feature, mail program] for each page.
import { readFileSync } from "node:fs";

import { caniemail } from "caniemail";

const CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*", "yahoo.*", "samsung-email.*"];

const pages = JSON.parse(readFileSync(0, "utf8"));
const found = pages.map((html) => {
  const { errors } = caniemail({ clients: CLIENTS, html }).issues;
  return [...errors].flatMap(([client, issues]) => issues.map((issue) => [issue.title, client]));
});
process.stdout.write(JSON.stringify(found));

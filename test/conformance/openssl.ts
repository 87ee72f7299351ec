import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * What `openssl verify` says of a leaf for servers and for clients, to the letter of RFC 5280.
 * @param chain PEM, leaf first.
 * @returns empty if it holds under `roots`; undefined if there is no OpenSSL here.
 */
export function opensslRefuses(chain: readonly string[], roots: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "causeway-openssl-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  try {
    const [leaf, ...between] = chain;
    const trust = ["-CAfile", file("roots.pem", roots), "-no-CApath", "-no-CAstore"];
    const untrusted = between.length === 0 ? [] : ["-untrusted", file("between.pem", between.join(""))];
    const said = ["sslserver", "sslclient"].map((purpose) => {
      const words = ["verify", "-x509_strict", "-purpose", purpose, ...trust, ...untrusted, file("leaf.pem", leaf!)];
      return spawnSync("openssl", words, { encoding: "utf8" });
    });
    if (said.some(({ error }) => error !== undefined)) return undefined;
    return said.flatMap(({ status, stdout, stderr }) => (status === 0 ? [] : [stdout + stderr])).join("");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestAuthority } from "./tls.ts";

/** A folder as `--cacerts` takes it, for an authority whose certificate `issuer` signed; by default it signed its own. */
export function writeCacerts(folder: string, own: TestAuthority, issuer = own): void {
  mkdirSync(folder, { recursive: true });
  const chain = issuer === own ? own.root : own.root + issuer.root;
  const pems = { "ca-cert": own.root, "ca-key": own.key, "cert-chain": chain, "root-cert": issuer.root };
  for (const [name, pem] of Object.entries(pems)) writeFileSync(join(folder, `${name}.pem`), pem);
}

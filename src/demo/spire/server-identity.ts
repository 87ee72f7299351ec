import { makeKeyPair } from "../../ca/key-type.ts";
import { toPem } from "../../pem.ts";
import type { SecureContextOptions } from "node:tls";
import type { Minter } from "./minter.ts";
import type { SpireTrust } from "./trust.ts";

/** What the server shows on its TCP port: a new key and leaf, and the roots of those who may show theirs. */
export async function serverContext(
  minter: Minter,
  trust: SpireTrust,
  spiffeId: string,
): Promise<SecureContextOptions> {
  const keys = await makeKeyPair("ec-p256");
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const order = { spiffeId, publicKey, ttlSeconds: 0, dns: [], subject: Buffer.alloc(0) };
  const { chain } = await minter.sign(order);
  const roots = [trust.own, ...trust.federated.values()].flatMap((bundle) => bundle.roots);
  return {
    cert: pemOf(chain),
    key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    ca: roots.map((root) => toPem("CERTIFICATE", root)),
  };
}

const pemOf = (chain: readonly Uint8Array[]): string => chain.map((der) => toPem("CERTIFICATE", der)).join("");

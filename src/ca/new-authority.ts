import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { authorityName } from "./authority-request.ts";
import type { Layout } from "./cacerts-check.ts";
import { authorityOf, ISTIO } from "./cacerts.ts";
import type { Files } from "./folder-files.ts";
import { type Maker, makeRoot, requireRoom, signIntermediate } from "./intermediate.ts";
import { type KeyType, makeKeyPair } from "./key-type.ts";
import { toPem } from "../pem.ts";
import { type Root, ROOT_LAYOUT } from "./root-folder.ts";

export const DAY_MS = 86_400_000;
/** Of an authority of a cluster: whoever copies its key has it for as long (contract identity.md 6, number 28). */
export const USUAL_LIFETIME_MS = 90 * DAY_MS;

export interface NewAuthority {
  readonly trustDomain: string;
  readonly keyType: KeyType;
  readonly lifetimeMs: number;
}

export interface NewIntermediate extends NewAuthority {
  /** In DER. */
  readonly subject: Uint8Array;
  /** How many authorities may follow it, 0 for one that signs for workloads alone; undefined for any number. */
  readonly pathLength: number | undefined;
}

/** The files of a new root, verified as they will be read. @param commonName undefined for one that tells roots apart. */
export async function newRoot(maker: Maker, shape: NewAuthority, commonName?: string): Promise<Files> {
  const { trustDomain, keyType, lifetimeMs } = shape;
  const root = await makeRoot(maker, { organization: trustDomain, commonName, trustDomain, keyType, lifetimeMs });
  const files = new Map([
    [ROOT_LAYOUT.key, root.privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [ROOT_LAYOUT.certificate, toPem("CERTIFICATE", root.certificate)],
  ]);
  verify(files, ROOT_LAYOUT, trustDomain, maker.clock.now());
  return files;
}

/**
 * The files of a new authority for a cluster, as istiod has them, verified as they will be read. It ends with its root
 * at the latest. The certificate comes last: with it, the folder is complete.
 * @param roots what the cluster is to trust, in DER; `root` among them.
 * @throws MeshError `invalid` if the root may have none such below it.
 */
export async function newIntermediate(
  maker: Maker,
  root: Root,
  shape: NewIntermediate,
  roots: readonly Uint8Array[] = [root.certificate],
): Promise<Files> {
  const title = `the root in ${root.folder}`;
  requireRoom(title, [root.certificate], shape.pathLength);
  const keys = await makeKeyPair(shape.keyType);
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const issuer = { title, key: root, path: [root.certificate] };
  const certificate = toPem("CERTIFICATE", signIntermediate(maker, issuer, { ...shape, publicKey }));
  const files = new Map([
    [ISTIO.key, keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [ISTIO.root, bundle(roots)],
    // istiod sends this file as it is after each leaf: it must begin with the issuer (contract identity.md 3.1).
    [ISTIO.chain!, certificate + toPem("CERTIFICATE", root.certificate)],
    [ISTIO.certificate, certificate],
  ]);
  verify(files, ISTIO, shape.trustDomain, maker.clock.now());
  return files;
}

/** The subject of a cluster's authority. */
export const intermediateName = (trustDomain: string, cluster: string): Uint8Array =>
  authorityName(trustDomain, `Intermediate CA ${cluster}`);

export const bundle = (certificates: readonly Uint8Array[]): string =>
  certificates.map((bytes) => toPem("CERTIFICATE", bytes)).join("");

/** Whoever reads it will do the same: what would be refused is never written. */
function verify(text: Files, layout: Layout, trustDomain: string, now: EpochMs): void {
  try {
    authorityOf({ folder: "", layout, text, digest: "" }, trustDomain, now);
  } catch (thrown) {
    const { message } = MeshError.from(thrown);
    throw new MeshError("internal", `what was made was not let out: ${message}`, {}, { cause: thrown });
  }
}

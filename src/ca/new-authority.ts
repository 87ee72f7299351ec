import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { Layout } from "./cacerts-check.ts";
import { authorityOf, ISTIO } from "./cacerts.ts";
import { type IssuingKey, keyIdOf, organizationName, serialFrom } from "./certificate.ts";
import { pathLength, readCertificate } from "./certificate-fields.ts";
import type { Files } from "./folder-files.ts";
import { type KeyType, makeKeyPair } from "./key-type.ts";
import { ownCertificate } from "./own-certificate.ts";
import { toPem } from "../pem.ts";
import { type Root, ROOT_LAYOUT } from "./root-folder.ts";

export const DAY_MS = 86_400_000;
/** Clocks of nodes differ: what was made just now must not be from the future anywhere (contract identity.md 2.1). */
export const BACKDATED_MS = 120_000;
/** Of an authority of a cluster: whoever copies its key has it for as long (contract identity.md 6, number 28). */
export const USUAL_LIFETIME_MS = 90 * DAY_MS;
/** RFC 5280, appendix A: the longest organization and common name. */
const NAME_CHARACTERS_MAX = 64;

/** What making a certificate takes of its machine. */
export type Maker = Pick<Host, "clock" | "random">;

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
  const keys = await makeKeyPair(shape.keyType);
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const keyId = keyIdOf(publicKey);
  const name = commonName ?? `Root CA ${keyId.toString("hex", 0, 4)}`;
  const subject = organizationName(bounded(shape.trustDomain), bounded(name));
  const notAfter = maker.clock.now() + shape.lifetimeMs;
  const issuer = { subject, keyId, privateKey: keys.privateKey };
  const certificate = certify(maker, { ...shape, subject, pathLength: undefined }, { publicKey, notAfter }, issuer);
  const files = new Map([
    [ROOT_LAYOUT.key, keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [ROOT_LAYOUT.certificate, toPem("CERTIFICATE", certificate)],
  ]);
  verify(files, ROOT_LAYOUT, shape.trustDomain, maker.clock.now());
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
  const { max } = pathLength(readCertificate(root.certificate));
  const following = shape.pathLength ?? 0;
  if (max !== undefined && max <= following)
    throw new MeshError(
      "invalid",
      `the root in ${root.folder} allows ${max} authorities below it, and with this one there may be ${following + 1}; use a lower path length, or another root`,
    );
  const keys = await makeKeyPair(shape.keyType);
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const notAfter = Math.min(maker.clock.now() + shape.lifetimeMs, root.notAfter);
  const certificate = toPem("CERTIFICATE", certify(maker, shape, { publicKey, notAfter }, root, root.notAfter));
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
  organizationName(bounded(trustDomain), bounded(`Intermediate CA ${cluster}`));

export const bundle = (certificates: readonly Uint8Array[]): string =>
  certificates.map((bytes) => toPem("CERTIFICATE", bytes)).join("");

function certify(
  { clock, random }: Maker,
  { trustDomain, subject, pathLength }: Omit<NewIntermediate, "keyType" | "lifetimeMs">,
  { publicKey, notAfter }: { readonly publicKey: Uint8Array; readonly notAfter: EpochMs },
  issuer: IssuingKey,
  issuerNotAfter?: EpochMs,
): Uint8Array {
  return ownCertificate(
    {
      serial: serialFrom(random.bytes(16)),
      notBefore: clock.now() - BACKDATED_MS,
      notAfter,
      subject,
      publicKey,
      purpose: "authority",
      ...(pathLength !== undefined && { pathLength }),
      // An authority is named after its trust domain, with no path (X509-SVID 3).
      names: { uris: [`spiffe://${trustDomain}`] },
    },
    issuer,
    issuerNotAfter,
  );
}

/** Whoever reads it will do the same: what would be refused is never written. */
function verify(text: Files, layout: Layout, trustDomain: string, now: EpochMs): void {
  try {
    authorityOf({ folder: "", layout, text, digest: "" }, trustDomain, now);
  } catch (thrown) {
    const { message } = MeshError.from(thrown);
    throw new MeshError("internal", `what was made was not let out: ${message}`, {}, { cause: thrown });
  }
}

/** Names are for people: one that is too long is cut, and stays legal. */
const bounded = (name: string): string => [...name].slice(0, NAME_CHARACTERS_MAX).join("");

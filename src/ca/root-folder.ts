import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import type { Layout } from "./cacerts-check.ts";
import { authorityOf } from "./cacerts.ts";
import { pathLength, readCertificate, uriNames } from "./certificate-fields.ts";
import { folderText } from "./folder-files.ts";
import { pemBlocks } from "../pem.ts";

/** A root with its key, as `causeway ca init` leaves it: under other names than an authority that a cluster mounts. */
export const ROOT_LAYOUT: Layout & { readonly chain: undefined } = {
  certificate: "root-cert.pem",
  key: "root-key.pem",
  root: "root-cert.pem",
  chain: undefined,
};

export interface Root extends Authority {
  readonly folder: string;
  /** Its certificate in DER. */
  readonly certificate: Uint8Array;
  /** The one that its certificate names, if it names one. */
  readonly trustDomain: string | undefined;
}

/**
 * Reads a root, and holds it to all that an authority is held to before use.
 * @throws MeshError `absent` or `invalid`, naming the file and what to do.
 */
export async function readRoot(folder: string, now: EpochMs): Promise<Root> {
  const { certificate, key } = ROOT_LAYOUT;
  const text = await folderText(folder, [certificate, key]);
  const missing = [certificate, key].filter((name) => !text.has(name));
  if (missing.length > 0)
    throw new MeshError("absent", `${folder} lacks ${missing.join(" and ")}; "causeway ca init" makes a root`);
  const bytes = onlyCertificate(join(folder, certificate), text.get(certificate)!);
  const trustDomain = trustDomainOf(bytes);
  const authority = authorityOf({ folder, layout: ROOT_LAYOUT, text, digest: "" }, trustDomain ?? "", now);
  return { ...authority, folder, certificate: bytes, trustDomain };
}

/** A root as others trust it: its key may be far away. */
export interface TrustedRoot {
  readonly folder: string;
  /** In DER. */
  readonly certificate: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
}

/** @throws MeshError `absent` or `invalid`, naming the file and what to do. */
export async function readTrustedRoot(folder: string): Promise<TrustedRoot> {
  const file = join(folder, ROOT_LAYOUT.certificate);
  const text = (await folderText(folder, [ROOT_LAYOUT.certificate])).get(ROOT_LAYOUT.certificate);
  if (text === undefined) throw new MeshError("absent", `${file} is not there; "causeway ca init" makes a root`);
  const certificate = onlyCertificate(file, text);
  const fields = readCertificate(certificate);
  if (!pathLength(fields).ca)
    throw new MeshError("invalid", `${file}: it is no certificate authority; put the root there`);
  return { folder, certificate, publicKey: Buffer.from(fields.publicKey) };
}

function onlyCertificate(file: string, text: string): Uint8Array {
  const [bytes, ...more] = pemBlocks(text, "CERTIFICATE");
  if (bytes === undefined) throw new MeshError("invalid", `${file}: it holds no certificate in PEM`);
  if (more.length === 0) return bytes;
  throw new MeshError("invalid", `${file} holds ${more.length + 1} certificates; keep one root there`);
}

/** The trust domain in the first SPIFFE ID of a certificate; undefined if there is none, or it cannot be read. */
export function trustDomainOf(certificate: Uint8Array): string | undefined {
  try {
    const uri = uriNames(readCertificate(certificate)).find((name) => name.startsWith("spiffe://"));
    return uri?.split("/")[2];
  } catch (thrown) {
    if (thrown instanceof MeshError) return undefined;
    throw thrown;
  }
}

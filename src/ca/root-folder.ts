import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import type { Layout } from "./cacerts-check.ts";
import { authorityOf } from "./cacerts.ts";
import { uriNames, readCertificate } from "./certificate-fields.ts";
import { folderText } from "./folder-files.ts";
import { pemBlocks } from "./pem.ts";
import { MeshError } from "../errors.ts";

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
  const [bytes, ...more] = pemBlocks(text.get(certificate)!, "CERTIFICATE");
  if (more.length > 0)
    throw new MeshError(
      "invalid",
      `${folder}/${certificate} holds ${more.length + 1} certificates; keep one root there`,
    );
  const trustDomain = bytes && trustDomainOf(bytes);
  const authority = authorityOf({ folder, layout: ROOT_LAYOUT, text, digest: "" }, trustDomain ?? "", now);
  return { ...authority, folder, certificate: bytes!, trustDomain };
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

import { createPrivateKey, hash, type KeyObject, X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { checkedAuthority, type Layout, refusal } from "./cacerts-check.ts";
import { readCertificate } from "./certificate-fields.ts";
import { CRL_FILE } from "./crl-check.ts";
import { wholePemBlocks } from "../pem.ts";

/** As istiod names the files, and as cert-manager does (contract ztunnel.md 4.7). */
export const ISTIO: Layout = {
  certificate: "ca-cert.pem",
  key: "ca-key.pem",
  root: "root-cert.pem",
  chain: "cert-chain.pem",
};
export const KUBERNETES: Layout = { certificate: "tls.crt", key: "tls.key", root: "ca.crt", chain: undefined };

/** The files of an authority, or the data of a Secret: not judged yet. */
export interface CacertsFiles {
  /** Where they were found, for messages: a folder, or as `Secret istio-system/cacerts`. */
  readonly folder: string;
  readonly layout: Layout;
  readonly text: ReadonlyMap<string, string>;
  /** The same for the same files. */
  readonly digest: string;
}

/**
 * Reads an authority from a folder, and believes it only as a whole.
 * @returns undefined if the folder holds none of the files.
 * @throws MeshError `invalid` or `absent`, naming the file and what to do.
 */
export async function loadCacerts(folder: string, trustDomain: string, now: EpochMs): Promise<Authority | undefined> {
  const files = await readCacerts(folder);
  return files && authorityOf(files, trustDomain, now);
}

/** The first half of `loadCacerts`. */
export async function readCacerts(folder: string): Promise<CacertsFiles | undefined> {
  const present = await listing(folder);
  const text = new Map<string, string>();
  for (const name of [...namesIn(layoutOf(present)), CRL_FILE])
    if (present.has(name)) text.set(name, await contentOf(folder, name));
  return cacertsIn(folder, text);
}

/**
 * The same of what was read elsewhere, as a Secret.
 * @param folder where that was, for messages.
 * @returns undefined if it holds none of the files.
 * @throws MeshError `absent` if it holds only some of them.
 */
export function cacertsIn(folder: string, named: ReadonlyMap<string, string>): CacertsFiles | undefined {
  const layout = layoutOf(named);
  const names = namesIn(layout);
  const missing = names.filter((name) => !named.has(name));
  if (missing.length === names.length) return undefined;
  if (missing.length > 0)
    throw new MeshError("absent", `${folder} lacks ${missing.join(", ")}; an authority needs ${names.join(", ")}`);
  const text = new Map([...names, ...(named.has(CRL_FILE) ? [CRL_FILE] : [])].map((name) => [name, named.get(name)!]));
  return { folder, layout, text, digest: hash("sha256", JSON.stringify([folder, ...text]), "base64url") };
}

/** The second half of `loadCacerts`. */
export function authorityOf({ folder, layout, text }: CacertsFiles, trustDomain: string, now: EpochMs): Authority {
  const read = (name: string): readonly X509Certificate[] => certificatesIn(folder, name, text.get(name)!);
  // Some that read them refuse one that is there twice.
  const roots = [...new Map(read(layout.root).map((root) => [root.fingerprint256, root])).values()];
  const [first, ...following] = read(layout.certificate);
  // istiod leaves the chain empty where there is nothing between its certificate and the root.
  const after =
    layout.chain === undefined ? following : text.get(layout.chain)!.trim() === "" ? [] : read(layout.chain);
  const between = after.filter(
    (certificate) => !certificate.raw.equals(first!.raw) && !roots.some(({ raw }) => raw.equals(certificate.raw)),
  );
  const key = readKey(folder, layout.key, text.get(layout.key)!);
  const lists = text.get(CRL_FILE);
  return checkedAuthority({ folder, layout, key, chain: [first!, ...between], roots, lists }, trustDomain, now);
}

/** The same without its revocation lists, for those who set PILOT_ENABLE_CA_CRL to false. */
export function withoutLists(files: CacertsFiles): CacertsFiles {
  const text = new Map([...files.text].filter(([name]) => name !== CRL_FILE));
  return { ...files, text };
}

const layoutOf = (present: { has(name: string): boolean }): Layout =>
  present.has(KUBERNETES.certificate) ? KUBERNETES : ISTIO;

const namesIn = (layout: Layout): readonly string[] =>
  Object.values(layout).filter((name): name is string => name !== undefined);

async function listing(folder: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return new Set();
    throw new MeshError("invalid", `${folder} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

async function contentOf(folder: string, name: string): Promise<string> {
  try {
    return await readFile(join(folder, name), "utf8");
  } catch (thrown) {
    throw refusal(folder, name, `it cannot be read: ${messageOf(thrown)}; let the user that runs us read it`);
  }
}

function certificatesIn(folder: string, name: string, text: string): readonly X509Certificate[] {
  const blocks = blocksIn(folder, name, text);
  if (blocks.length === 0) throw refusal(folder, name, "it holds no certificate in PEM");
  return blocks.map((bytes, at) => {
    try {
      return openCertificate(bytes);
    } catch (thrown) {
      throw refusal(folder, name, `certificate ${at + 1} cannot be read: ${messageOf(thrown)}`);
    }
  });
}

function blocksIn(folder: string, name: string, text: string): readonly Uint8Array[] {
  try {
    return wholePemBlocks(text, "CERTIFICATE");
  } catch (thrown) {
    throw refusal(folder, name, messageOf(thrown));
  }
}

/** @throws what says that it is no certificate, or that its key is none, which else shows only once the key is used. */
export function openCertificate(bytes: Uint8Array): X509Certificate {
  readCertificate(bytes);
  const certificate = new X509Certificate(bytes);
  if (certificate.publicKey.asymmetricKeyType === undefined)
    throw new MeshError("invalid", "its key is of no kind that is known");
  return certificate;
}

function readKey(folder: string, name: string, text: string): KeyObject {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text))
    throw refusal(folder, name, "the key is encrypted, and there is no place for its passphrase; store it decrypted");
  try {
    return createPrivateKey(text);
  } catch (thrown) {
    throw refusal(folder, name, `it holds no private key that can be read: ${messageOf(thrown)}`);
  }
}

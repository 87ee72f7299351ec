import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { keyIdOf } from "./certificate.ts";
import { EXTENSION, pathLength, readCertificate, uriNames } from "./certificate-fields.ts";
import { DerReader, TAG } from "./der.ts";
import { pemBlocks } from "./pem.ts";

/** The files of a folder, as istiod and cert-manager name them (contract ztunnel.md 4.7). */
interface Layout {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
  /** Certificates between the first and a root; without it they follow the first. */
  readonly chain: string | undefined;
}

const ISTIO: Layout = {
  certificate: "ca-cert.pem",
  key: "ca-key.pem",
  root: "root-cert.pem",
  chain: "cert-chain.pem",
};
const KUBERNETES: Layout = { certificate: "tls.crt", key: "tls.key", root: "ca.crt", chain: undefined };

/** Intermediates between a leaf and its root; more would slow every handshake. */
const CHAIN_MAX = 8;

/**
 * Reads an authority from a folder, and believes it only as a whole: the key is the certificate's, each certificate is
 * an authority that is valid now and was issued by the next, and the last by a root that is given.
 * @returns undefined if the folder holds none of the files.
 * @throws MeshError `invalid` or `absent`, naming the file and what to do.
 */
export async function loadCacerts(folder: string, trustDomain: string, now: EpochMs): Promise<Authority | undefined> {
  const files = await listing(folder);
  const layout = files.has(KUBERNETES.certificate) ? KUBERNETES : ISTIO;
  const names = Object.values(layout).filter((name): name is string => name !== undefined);
  const missing = names.filter((name) => !files.has(name));
  if (missing.length === names.length) return undefined;
  if (missing.length > 0)
    throw new MeshError("absent", `${folder} lacks ${missing.join(", ")}; an authority needs ${names.join(", ")}`);
  const text = new Map<string, string>();
  for (const name of names) text.set(name, await readFile(join(folder, name), "utf8"));
  const read = (name: string): readonly X509Certificate[] => certificatesIn(folder, name, text.get(name)!);
  const roots = read(layout.root);
  const [first, ...following] = read(layout.certificate);
  const between = (layout.chain === undefined ? following : read(layout.chain)).filter(
    (certificate) => !certificate.raw.equals(first!.raw) && !roots.some(({ raw }) => raw.equals(certificate.raw)),
  );
  const key = readKey(folder, layout.key, text.get(layout.key)!);
  return checked({ folder, layout, key, chain: [first!, ...between], roots }, trustDomain, now);
}

async function listing(folder: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return new Set();
    throw new MeshError("invalid", `${folder} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

function certificatesIn(folder: string, name: string, text: string): readonly X509Certificate[] {
  const blocks = pemBlocks(text, "CERTIFICATE");
  if (blocks.length === 0) throw refusal(folder, name, "it holds no certificate in PEM");
  return blocks.map((bytes, at) => {
    try {
      readCertificate(bytes);
      return new X509Certificate(bytes);
    } catch (thrown) {
      throw refusal(folder, name, `certificate ${at + 1} cannot be read: ${messageOf(thrown)}`);
    }
  });
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

interface Material {
  readonly folder: string;
  readonly layout: Layout;
  readonly key: KeyObject;
  /** The authority's own certificate first. */
  readonly chain: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
}

function checked(material: Material, trustDomain: string, now: EpochMs): Authority {
  const { folder, layout, key, chain, roots } = material;
  const [own] = chain;
  if (!own!.checkPrivateKey(key))
    throw refusal(folder, layout.key, `it is not the key of ${layout.certificate}; put the two that belong together`);
  checkChain(material, now);
  const fields = readCertificate(own!.raw);
  const foreign = uriNames(fields).find((uri) => uri.startsWith("spiffe://") && uri.split("/")[2] !== trustDomain);
  if (foreign !== undefined)
    throw refusal(folder, layout.certificate, `it is named ${foreign}, which is not of trust domain ${trustDomain}`);
  const isRoot = roots.some(({ raw }) => raw.equals(own!.raw));
  return {
    subject: fields.subject,
    keyId: subjectKeyId(fields.extensions.get(EXTENSION.subjectKeyId)?.value) ?? keyIdOf(fields.publicKey),
    privateKey: key,
    chain: isRoot ? [] : chain.map(({ raw }) => raw),
    roots: roots.filter(({ raw }) => readCertificate(raw).notAfter > now).map(({ raw }) => raw),
    notAfter: Math.min(...chain.map(({ raw }) => readCertificate(raw).notAfter)),
  };
}

function checkChain({ folder, layout, chain, roots }: Material, now: EpochMs): void {
  if (chain.length > CHAIN_MAX) throw refusal(folder, layout.certificate, `over ${CHAIN_MAX} certificates to the root`);
  chain.forEach((certificate, at) => {
    const name = at === 0 ? layout.certificate : (layout.chain ?? layout.certificate);
    checkAuthority(folder, name, certificate, at, now);
    const next = chain[at + 1];
    if (next === undefined || issued(next, certificate)) return;
    const [subject, wanted] = [oneLine(next.subject), oneLine(certificate.issuer)];
    throw refusal(
      folder,
      name,
      `"${subject}" did not issue "${oneLine(certificate.subject)}", "${wanted}" did; put the certificates in order, each before its issuer`,
    );
  });
  const last = chain.at(-1)!;
  if (roots.some((root) => root.raw.equals(last.raw))) return;
  const parents = roots.filter((root) => issued(root, last));
  if (parents.length === 0)
    throw refusal(
      folder,
      layout.root,
      `no root in it issued "${oneLine(last.subject)}"; put its issuer "${oneLine(last.issuer)}" there`,
    );
  if (parents.every(({ raw }) => readCertificate(raw).notAfter <= now))
    throw refusal(
      folder,
      layout.root,
      `the root "${oneLine(parents[0]!.subject)}" has expired; put one that is valid there`,
    );
}

function checkAuthority(folder: string, name: string, certificate: X509Certificate, below: number, now: EpochMs): void {
  const fields = readCertificate(certificate.raw);
  const who = `"${oneLine(certificate.subject)}"`;
  const { ca, max } = pathLength(fields);
  if (!ca) throw refusal(folder, name, `${who} is no certificate authority; put one with CA:TRUE there, not a leaf`);
  if (max !== undefined && max < below)
    throw refusal(
      folder,
      name,
      `${who} allows ${max} authorities below it, and ${below} follow; use one with a longer path`,
    );
  const usage = fields.extensions.get(EXTENSION.keyUsage);
  const bits = usage && new DerReader(usage.value).next(TAG.bitString).content;
  if (bits !== undefined && (bits[1]! & 0x04) === 0)
    throw refusal(folder, name, `${who} may not sign certificates; use one with the key usage keyCertSign`);
  if (fields.notAfter <= now)
    throw refusal(
      folder,
      name,
      `${who} expired at ${new Date(fields.notAfter).toISOString()}; put one that is valid there`,
    );
  if (fields.notBefore > now)
    throw refusal(
      folder,
      name,
      `${who} is valid only from ${new Date(fields.notBefore).toISOString()}; check the clock`,
    );
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function subjectKeyId(value: Uint8Array | undefined): Uint8Array | undefined {
  return value && new DerReader(value).next(TAG.octetString).content;
}

const oneLine = (name: string): string => name.replace(/\n/g, ", ");

function refusal(folder: string, name: string, why: string): MeshError {
  return new MeshError("invalid", `${join(folder, name)}: ${why}`);
}

import type { X509Certificate } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Layout } from "./cacerts-check.ts";
import { ISTIO, KUBERNETES, openCertificate } from "./cacerts.ts";
import { CRL_FILE } from "./crl-check.ts";
import { type Files, folderText } from "./folder-files.ts";
import { beginnings, pemBlocks } from "../pem.ts";
import { ROOT_LAYOUT } from "./root-folder.ts";
import { readCertificate } from "./certificate-fields.ts";

/** A folder with an authority, whole or not, judged by nobody yet. */
export interface AuthorityFolder {
  readonly folder: string;
  readonly layout: Layout;
  readonly text: Files;
  /** Its revocation lists, in PEM; undefined if it has none. */
  readonly lists: string | undefined;
  /** The permissions of its key; undefined if there is none. */
  readonly keyMode: number | undefined;
  /** True if a root's key lies there. */
  readonly hasRootKey: boolean;
}

/** @throws MeshError `absent` if nothing in the folder is of an authority. */
export async function readAuthorityFolder(folder: string): Promise<AuthorityFolder> {
  const names = [ISTIO, KUBERNETES, ROOT_LAYOUT].flatMap(namesOf);
  const all = await folderText(folder, [...new Set([...names, CRL_FILE])]);
  const text = new Map([...all].filter(([name]) => name !== CRL_FILE));
  if (text.size === 0)
    throw new MeshError("absent", `${folder} holds no authority: none of ${namesOf(ISTIO).join(", ")} is there`);
  const layout = layoutOf(text);
  const keyMode = text.has(layout.key) ? (await stat(join(folder, layout.key))).mode & 0o777 : undefined;
  return { folder, layout, text, lists: all.get(CRL_FILE), keyMode, hasRootKey: text.has(ROOT_LAYOUT.key) };
}

export const namesOf = ({ certificate, key, root, chain }: Layout): readonly string[] =>
  [...new Set([key, root, chain, certificate])].filter((name) => name !== undefined);

function layoutOf(text: Files): Layout {
  if (text.has(KUBERNETES.certificate)) return KUBERNETES;
  return text.has(ROOT_LAYOUT.key) && !text.has(ISTIO.certificate) ? ROOT_LAYOUT : ISTIO;
}

const ORDER = ["authority", "intermediate", "root"] as const;

/** A certificate, and where it was found. */
export interface FoundCertificate {
  readonly file: string;
  readonly role: (typeof ORDER)[number];
  readonly certificate: X509Certificate;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

/** Every certificate of a folder once: its own first, its roots last. What cannot be read is left out. */
export function certificatesOf({ layout, text }: AuthorityFolder): readonly FoundCertificate[] {
  const read = (file: string | undefined): readonly X509Certificate[] => readable(text.get(file ?? "") ?? "");
  const own = layout === ROOT_LAYOUT ? [] : read(layout.certificate);
  const found = [
    ...own.slice(0, 1).map((certificate) => foundIn(layout.certificate, "authority", certificate)),
    ...read(layout.root).map((certificate) => foundIn(layout.root, "root", certificate)),
    ...own.slice(1).map((certificate) => foundIn(layout.certificate, "intermediate", certificate)),
    ...read(layout.chain).map((certificate) => foundIn(layout.chain!, "intermediate", certificate)),
  ];
  const first = new Map(found.toReversed().map((one) => [one.certificate.fingerprint256, one]));
  return found
    .filter((one) => first.get(one.certificate.fingerprint256) === one)
    .sort((a, b) => ORDER.indexOf(a.role) - ORDER.indexOf(b.role));
}

function foundIn(file: string, role: FoundCertificate["role"], certificate: X509Certificate): FoundCertificate {
  const { notBefore, notAfter } = readCertificate(certificate.raw);
  return { file, role, certificate, notBefore, notAfter };
}

/** Files that hold something else than certificates, or are not there. */
export function brokenFiles({ layout, text }: AuthorityFolder): readonly string[] {
  const files = namesOf(layout).filter((name) => name !== layout.key);
  return files.filter((name) => {
    // It may be empty where there is nothing between the certificate and the root.
    if (name === layout.chain && text.get(name)?.trim() === "") return false;
    const blocks = beginnings(text.get(name) ?? "", "CERTIFICATE");
    return blocks === 0 || readable(text.get(name)!).length < blocks;
  });
}

function readable(text: string): readonly X509Certificate[] {
  return pemBlocks(text, "CERTIFICATE").flatMap((bytes) => {
    try {
      return [openCertificate(bytes)];
    } catch {
      return [];
    }
  });
}

import { X509Certificate } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { writeWhole } from "../whole-file.ts";
import { authorityOf, ISTIO } from "./cacerts.ts";
import { CRL_FILE } from "./crl-check.ts";
import { type ClusterAuthority, successorOf } from "./cluster-authority.ts";
import { type Files, modeOf } from "./folder-files.ts";
import { fingerprintOf, type Issued, noteIssued } from "./issued-list.ts";
import type { Maker } from "./intermediate.ts";
import { bundle, newIntermediate } from "./new-authority.ts";
import { pemBlocks } from "../pem.ts";
import { type Root, trustDomainOf } from "./root-folder.ts";

/** What becomes of a folder: files that replace others, verified together with those that stay. */
export interface FolderChange {
  readonly cluster: ClusterAuthority;
  readonly files: Files;
}

/** The cluster trusts these roots, and signs as before. @throws MeshError if its own authority would not hold. */
export function withRoots(cluster: ClusterAuthority, roots: readonly Uint8Array[], now: EpochMs): FolderChange {
  const files = new Map([[ISTIO.root, bundle(roots)]]);
  const text = new Map([...cluster.text, ...files]);
  authorityOf(
    { folder: cluster.folder, layout: ISTIO, text, digest: "" },
    trustDomainOf(cluster.certificate) ?? "",
    now,
  );
  return { cluster, files };
}

/** The cluster signs with a new key under `root`, and trusts what it trusted. */
export async function withSuccessor(maker: Maker, cluster: ClusterAuthority, root: Root): Promise<FolderChange> {
  const shape = successorOf(cluster, root.trustDomain ?? "cluster.local");
  const made = await newIntermediate(maker, root, shape, cluster.roots);
  // When its roots were written, waits are counted from: the same ones are not written anew.
  const files = new Map([...made].filter(([name, text]) => name !== ISTIO.root || text !== cluster.text.get(name)));
  return { cluster, files };
}

/** Whether the revocation lists of a folder count beside what it holds after a change: those of a root outlive what it issued. */
export function listsHold({ cluster, files }: FolderChange, lists: string, now: EpochMs): boolean {
  const { folder, certificate } = cluster;
  const text = new Map([...cluster.text, ...files, [CRL_FILE, lists]]);
  try {
    authorityOf({ folder, layout: ISTIO, text, digest: "" }, trustDomainOf(certificate) ?? "", now);
    return true;
  } catch (thrown) {
    if (thrown instanceof MeshError) return false;
    throw thrown;
  }
}

/** Notes with the root what it issued in place of others, under the names that those had. */
export async function noteSuccessors(
  rootFolder: string,
  changes: readonly FolderChange[],
  issued: readonly Issued[],
): Promise<void> {
  for (const { cluster, files } of changes) {
    const [made] = pemBlocks(files.get(ISTIO.certificate) ?? "", "CERTIFICATE");
    if (made !== undefined) await noteIssued(rootFolder, clusterNameOf(cluster, issued), new X509Certificate(made).raw);
  }
}

/** As it was issued for, else as its folder is called. */
export function clusterNameOf({ certificate, folder }: ClusterAuthority, issued: readonly Issued[]): string {
  const sha256 = fingerprintOf(certificate);
  return issued.find((one) => one.sha256 === sha256)?.cluster ?? basename(folder);
}

/** Keeps what was there in `previous`, from which it can be put back. @throws MeshError `unavailable` */
export async function writeChange({ cluster: { folder, text }, files }: FolderChange): Promise<void> {
  const previous = join(folder, "previous");
  try {
    await mkdir(previous, { recursive: true, mode: 0o700 });
    for (const [name, content] of text) await writeWhole(join(previous, name), content, modeOf(name));
    for (const [name, content] of files) await writeWhole(join(folder, name), content, modeOf(name));
  } catch (thrown) {
    const why = `${folder} is not changed whole: ${messageOf(thrown)}; what it held is in ${previous}`;
    throw new MeshError("unavailable", why, {}, { cause: thrown });
  }
}

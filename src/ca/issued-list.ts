import { appendFile } from "node:fs/promises";
import { hash } from "node:crypto";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { readCertificate } from "./certificate-fields.ts";
import { folderText } from "./folder-files.ts";

/** Beside a root: a line of JSON for each authority that it made. */
const ISSUED = "issued.jsonl";

/** An authority that a root made for a cluster. */
export interface Issued {
  readonly cluster: string;
  /** Of the certificate, in hex. */
  readonly sha256: string;
  readonly serial: string;
  /** As ISO 8601. */
  readonly notAfter: string;
}

export const fingerprintOf = (certificate: Uint8Array): string => hash("sha256", certificate, "hex");

/** Notes an authority before it is handed out: what is in use can later be told. @throws MeshError `unavailable` */
export async function noteIssued(rootFolder: string, cluster: string, certificate: Uint8Array): Promise<void> {
  const { serial, notAfter } = readCertificate(certificate);
  const issued: Issued = {
    cluster,
    sha256: fingerprintOf(certificate),
    serial: Buffer.from(serial).toString("hex"),
    notAfter: new Date(notAfter).toISOString(),
  };
  try {
    await appendFile(join(rootFolder, ISSUED), `${JSON.stringify(issued)}\n`, { mode: 0o600 });
  } catch (thrown) {
    const why = `what it issues must be noted in ${join(rootFolder, ISSUED)}: ${messageOf(thrown)}`;
    throw new MeshError("unavailable", why, {}, { cause: thrown });
  }
}

/** What a root issued, oldest first. @throws MeshError `invalid` for a line that is not ours. */
export async function issuedBy(rootFolder: string): Promise<readonly Issued[]> {
  const text = (await folderText(rootFolder, [ISSUED])).get(ISSUED) ?? "";
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line, at) => parseIssued(line) ?? unreadable(`${join(rootFolder, ISSUED)}, line ${at + 1}`));
}

function parseIssued(line: string): Issued | undefined {
  try {
    const { cluster, sha256, serial, notAfter } = JSON.parse(line) as Record<string, unknown>;
    const texts = [cluster, sha256, serial, notAfter];
    if (!texts.every((text) => typeof text === "string") || Number.isNaN(Date.parse(String(notAfter))))
      return undefined;
    return { cluster: String(cluster), sha256: String(sha256), serial: String(serial), notAfter: String(notAfter) };
  } catch {
    return undefined;
  }
}

function unreadable(where: string): never {
  throw new MeshError("invalid", `${where}: it is no record of an authority that was issued; mend or remove the line`);
}

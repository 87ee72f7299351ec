import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import { writeWhole } from "../whole-file.ts";
import type { Authority } from "./authority.ts";
import { loadCacerts } from "./cacerts.ts";
import { newRoot } from "./own-root.ts";

/**
 * The authority of a folder, which is made there if it holds none: a root with a key of its own, kept for the next
 * start. What is there and cannot be used is an error; it is never replaced.
 * @throws MeshError as `loadCacerts`, or `unavailable` if the folder cannot be written.
 */
export async function selfMadeRoot(host: Host, folder: string, trustDomain: string): Promise<Authority> {
  const found = await kept(host, folder, trustDomain);
  if (found !== undefined) return found;
  await writeRoot(host, folder, trustDomain);
  const made = await kept(host, folder, trustDomain);
  if (made === undefined) throw new MeshError("unavailable", `the root just made in ${folder} is not there`);
  return made;
}

async function kept(host: Host, folder: string, trustDomain: string): Promise<Authority | undefined> {
  try {
    return await loadCacerts(folder, trustDomain, host.clock.now());
  } catch (thrown) {
    const { code, message } = MeshError.from(thrown);
    const fix = "restore it, or remove the folder to have a new root made, which every workload has to learn";
    throw new MeshError(code, `the root kept from before cannot be used: ${message}; ${fix}`, {}, { cause: thrown });
  }
}

async function writeRoot(host: Host, folder: string, trustDomain: string): Promise<void> {
  const { certificate, key } = newRoot(host, trustDomain);
  try {
    // The certificate last: with it, the folder is complete.
    await writeWhole(join(folder, "ca-key.pem"), key, 0o600);
    for (const name of ["root-cert.pem", "cert-chain.pem", "ca-cert.pem"])
      await writeWhole(join(folder, name), certificate);
  } catch (thrown) {
    throw new MeshError("unavailable", `no root can be kept in ${folder}: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
  host.log.scope("ca").info("made a root of our own", { folder, trustDomain });
}

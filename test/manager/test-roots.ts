import { readCertificate } from "../../src/ca/certificate-fields.ts";
import { newRoot } from "../../src/ca/new-authority.ts";
import { renewedRoot } from "../../src/ca/own-root.ts";
import { ROOT_LAYOUT } from "../../src/ca/root-folder.ts";
import { pemBlocks } from "../../src/pem.ts";
import { TestHost } from "../kits/test-host.ts";

const YEAR_MS = 365 * 86_400_000;

/** Roots valid on a virtual clock that has just begun, in DER; each was renewed once, with its name and key. */
export interface TestRoot {
  readonly der: Uint8Array;
  readonly renewed: Uint8Array;
}

export async function testRoot(name: string, lifetimeMs = 5 * YEAR_MS): Promise<TestRoot> {
  const host = new TestHost();
  const shape = { trustDomain: "cluster.local", keyType: "ec-p256", lifetimeMs } as const;
  const files = await newRoot(host, shape, name);
  const [certificate, key] = [files.get(ROOT_LAYOUT.certificate)!, files.get(ROOT_LAYOUT.key)!];
  const again = renewedRoot(host, { certificate, key });
  return { der: pemBlocks(certificate, "CERTIFICATE")[0]!, renewed: pemBlocks(again.certificate, "CERTIFICATE")[0]! };
}

/** A certificate with a serial number of its own; nobody here verifies it. */
export function madeUp(template: Uint8Array, number: number): Uint8Array {
  const { serial } = readCertificate(template);
  const der = Buffer.from(template);
  const at = der.indexOf(serial);
  der.writeUInt32BE(number, at + serial.length - 4);
  return der;
}

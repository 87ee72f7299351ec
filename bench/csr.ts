import { spawnSync } from "node:child_process";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newCsr } from "../src/ca/client.ts";
import { parseCsr } from "../src/ca/csr.ts";
import { LocalSigner } from "../src/ca/local-signer.ts";
import { selfMadeRoot } from "../src/ca/self-made-root.ts";
import { systemClock, systemRandom } from "../src/system-host.ts";
import { TestHost } from "../test/kits/test-host.ts";
import { type Bench, rate, type Report } from "./bench.ts";

const REQUESTS = 2_000;
const ROUNDS = 7;
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

/** Certificates a second on one core, against the signing and verifying that each of them cannot do without. */
async function run(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-"));
  const { log, metrics } = new TestHost();
  const host = { clock: systemClock, random: systemRandom, log, metrics };
  const signer = new LocalSigner(host, await selfMadeRoot(host, folder, "cluster.local"), "cluster.local");
  rmSync(folder, { recursive: true });
  const requests = Array.from({ length: 200 }, () => newCsr().csr);
  const { signal } = new AbortController();
  const issue = async (count: number): Promise<number> => {
    const start = performance.now();
    for (let at = 0; at < count; at += 1) {
      const publicKey = parseCsr(requests[at % requests.length]!);
      await signer.sign({ identity, publicKey, ttlSeconds: 86_400 }, signal);
    }
    return (1000 * count) / (performance.now() - start);
  };
  await issue(REQUESTS);
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rates.push(await issue(REQUESTS));
  const reached = rates.sort((a, b) => a - b)[ROUNDS >> 1]!;
  const openssl = opensslPairs();
  if (openssl === undefined) console.error("csr: openssl is not installed; its speed is no limit here");
  else report(rate("csr.svids-per-second", reached, "svid/s", openssl));
  report(rate("csr.svids-per-second-of-node-crypto", reached, "svid/s", nodePairs()));
}

/** P-256 signatures made and verified, one each, in a second of one core, by `openssl speed`. */
function opensslPairs(): number | undefined {
  const { stdout, status } = spawnSync("openssl", ["speed", "-seconds", "2", "ecdsap256"], { encoding: "utf8" });
  const found = /ecdsa \(nistp256\)\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)/.exec(status === 0 ? stdout : "");
  return found === null ? undefined : 1 / (1 / Number(found[1]) + 1 / Number(found[2]));
}

/** The same by node:crypto, which has some overhead of its own. */
function nodePairs(): number {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const message = Buffer.alloc(300);
  const start = performance.now();
  for (let count = 0; count < REQUESTS; count += 1)
    if (!verify("sha256", message, publicKey, sign("sha256", message, privateKey))) throw new Error("not verified");
  return (1000 * REQUESTS) / (performance.now() - start);
}

export const bench: Bench = { name: "csr", run };

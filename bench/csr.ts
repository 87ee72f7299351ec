import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Authority } from "../src/ca/authority.ts";
import { newCsr } from "../src/ca/client.ts";
import { parseCsr } from "../src/ca/csr.ts";
import { LocalSigner } from "../src/ca/local-signer.ts";
import { authorityOf } from "./authority.ts";
import { type Bench, cost, rate, type Report } from "./bench.ts";
import { csrService } from "./csr-service.ts";
import { opensslSpeed, type Speed, type SpeedType } from "./openssl.ts";
import { quietHost } from "./quiet-host.ts";

const ROUNDS = 5;
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
/** Certificates of one round. */
const COUNTS: Readonly<Record<SpeedType, number>> = { "ec-p256": 3_000, "rsa-2048": 1_500, "rsa-4096": 150 };
/** Milliseconds that the event loop may be held while RSA 4096 signs: pushes must go on. */
const DELAY_MS_MAX = 20;

/**
 * Certificates a second for each kind of issuer: in process by the time of the processor, so that whoever else runs on
 * the machine counts little, against the signing and verifying that each cannot do without; over gRPC by the clock on
 * the wall, against what one core gives in process.
 */
async function run(report: Report): Promise<void> {
  const requests = opensslSpeed("ec-p256");
  if (requests === undefined) console.error("csr: openssl is not installed; its speed is no limit here");
  for (const type of ["ec-p256", "rsa-2048", "rsa-4096"] as const) {
    const authority = await authorityOf(type);
    const limit = pairs(requests, type === "ec-p256" ? requests : opensslSpeed(type));
    const reached = await inProcess(authority, COUNTS[type]);
    report(rate(`csr.${type}.in-process`, reached, "svid/core-s", limit ?? NaN));
    await using service = await csrService(authority);
    for (const tokens of ["repeated", "fresh"] as const) {
      await service.rate(tokens, COUNTS[type] / 3);
      const rates = [];
      for (let round = 0; round < ROUNDS; round += 1) rates.push(await service.rate(tokens, COUNTS[type]));
      report(rate(`csr.${type}.grpc-${tokens}-tokens`, middle(rates), "svid/s", reached));
    }
    if (type === "rsa-4096")
      report(cost("csr.rsa-4096.event-loop-delay-p99", await delayUnderLoad(authority), "ms", DELAY_MS_MAX));
  }
}

const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** The request verified and the certificate signed, one each, in a second of one core. */
function pairs(request: Speed | undefined, issuer: Speed | undefined): number | undefined {
  return request && issuer && 1 / (1 / request.verify + 1 / issuer.sign);
}

function issuing(authority: Authority): () => Promise<void> {
  const signer = new LocalSigner(quietHost(), authority, "cluster.local");
  const requests = Array.from({ length: 200 }, () => newCsr().csr);
  const { signal } = new AbortController();
  let at = 0;
  return async () => {
    const publicKey = parseCsr(requests[(at += 1) % requests.length]!);
    await signer.sign({ identity, publicKey, ttlSeconds: 86_400 }, signal);
  };
}

/** Per second of processor time, that of libuv's threads too; eight under way, as a ztunnel has. */
async function inProcess(authority: Authority, count: number): Promise<number> {
  const issue = issuing(authority);
  const round = async (): Promise<number> => {
    const before = process.cpuUsage();
    let begun = 0;
    const asker = async (): Promise<void> => {
      while ((begun += 1) <= count) await issue();
    };
    await Promise.all(Array.from({ length: 8 }, asker));
    const { user, system } = process.cpuUsage(before);
    return (1e6 * count) / (user + system);
  };
  await round();
  const rates = [];
  for (let at = 0; at < ROUNDS; at += 1) rates.push(await round());
  return middle(rates);
}

/** Of this process, while 64 requests are always under way. */
async function delayUnderLoad(authority: Authority): Promise<number> {
  const issue = issuing(authority);
  const delays = monitorEventLoopDelay({ resolution: 1 });
  const ends = performance.now() + 5_000;
  const asker = async (): Promise<void> => {
    while (performance.now() < ends) await issue();
  };
  delays.enable();
  await Promise.all(Array.from({ length: 64 }, asker));
  delays.disable();
  return delays.percentile(99) / 1e6;
}

export const bench: Bench = { name: "csr", run };

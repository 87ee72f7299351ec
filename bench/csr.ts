import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Authority } from "../src/ca/authority.ts";
import { newCsr } from "../src/ca/client.ts";
import type { CsrOrder } from "../src/ca/signer.ts";
import { SigningDesk } from "../src/ca/signing-desk.ts";
import { startSigningThread } from "../src/ca/start-signing-thread.ts";
import { ThreadedSigner } from "../src/ca/threaded-signer.ts";
import { authorityOf } from "./authority.ts";
import { type Bench, cost, rate, type Report } from "./bench.ts";
import { csrService } from "./csr-service.ts";
import { opensslSpeed, type Speed, type SpeedType } from "./openssl.ts";
import { quietHost } from "./quiet-host.ts";

/** Of which the best counts: whoever else runs on the machine can only make it slower. */
const ROUNDS = 9;
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
/** Certificates of one round. */
const COUNTS: Readonly<Record<SpeedType, number>> = { "ec-p256": 2_000, "rsa-2048": 1_000, "rsa-4096": 100 };
/** Milliseconds that the event loop may be held while RSA 4096 signs: pushes must go on. */
const DELAY_MS_MAX = 20;

/**
 * Certificates a second for each kind of issuer: in process by the time of the processor, so that whoever else runs on
 * the machine counts little, against the signing and verifying that each cannot do without. Over gRPC twice, against
 * what one core gives in process: by the clock on the wall, while the client takes its part of the same machine, and as
 * two cores that serve nobody else would give by the time of the processor that the service took.
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
      await service.rate(tokens, 3 * COUNTS[type]);
      const rates = [];
      for (let round = 0; round < ROUNDS; round += 1) rates.push(await service.rate(tokens, COUNTS[type]));
      const name = `csr.${type}.grpc-${tokens}-tokens`;
      report(rate(`${name}.wall`, best(rates.map(({ wall }) => wall)), "svid/s", reached));
      report(rate(`${name}.two-cores`, best(rates.map(({ twoCores }) => twoCores)), "svid/2-core-s", reached));
    }
    if (type === "rsa-4096")
      report(cost("csr.rsa-4096.event-loop-delay-p99", await delayUnderLoad(authority), "ms", DELAY_MS_MAX));
  }
}

const best = (values: readonly number[]): number => Math.max(...values);

/** The request verified and the certificate signed, one each, in a second of one core. */
function pairs(request: Speed | undefined, issuer: Speed | undefined): number | undefined {
  return request && issuer && 1 / (1 / request.verify + 1 / issuer.sign);
}

/** New requests, over and over. */
function orders(): () => CsrOrder {
  const requests = Array.from({ length: 200 }, () => newCsr().csr);
  let at = 0;
  return () => ({ identity, csr: requests[(at += 1) % requests.length]!, ttlSeconds: 86_400, bearer: undefined });
}

/** Per second of processor time, as a signing thread makes them: request in, certificate out, eight in each message. */
async function inProcess(authority: Authority, count: number): Promise<number> {
  const desk = new SigningDesk(quietHost().random);
  await desk.take({ kind: "authority", issuer: authority, trustDomain: "cluster.local" });
  const order = orders();
  const round = async (): Promise<number> => {
    const before = process.cpuUsage();
    let made = 0;
    while (made < count) {
      const now = Date.now();
      const replies = await desk.take({
        kind: "orders",
        orders: Array.from({ length: 8 }, () => ({ ...order(), now })),
      });
      made += replies!.ends.filter((end) => typeof end === "number").length;
    }
    const { user, system } = process.cpuUsage(before);
    return (1e6 * made) / (user + system);
  };
  for (let at = 0; at < 3; at += 1) await round();
  const rates = [];
  for (let at = 0; at < ROUNDS; at += 1) rates.push(await round());
  return best(rates);
}

/** Of this process, while 64 requests are always under way. */
async function delayUnderLoad(authority: Authority): Promise<number> {
  const signer = new ThreadedSigner(quietHost(), authority, "cluster.local", startSigningThread);
  const order = orders();
  const { signal } = new AbortController();
  const delays = monitorEventLoopDelay({ resolution: 1 });
  const ends = performance.now() + 5_000;
  const asker = async (): Promise<void> => {
    while (performance.now() < ends) await signer.issue(order(), signal);
  };
  delays.enable();
  await Promise.all(Array.from({ length: 64 }, asker));
  delays.disable();
  signer.close();
  return delays.percentile(99) / 1e6;
}

export const bench: Bench = { name: "csr", run };

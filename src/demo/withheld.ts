import { MeshError, messageOf } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { systemClock } from "../system-host.ts";
import { demoClient } from "../commands/demo-client.ts";
import type { DemoCluster } from "./clusters.ts";
import type { DemoMesh } from "./mesh.ts";
import { certificateOf } from "./certificate.ts";

/** Entries are looked up at most so often that a change shows within 5 s. */
const LOOK_MS = 500;

/** What happened to an identity whose entry was taken away, and brought back. */
export interface Withheld {
  readonly spiffeId: string;
  /** What was said instead of a certificate. */
  readonly refusal: string;
  readonly refusedMs: number;
  readonly restoredMs: number;
}

/**
 * Takes the entry of a workload away, waits until it gets no certificate, brings the entry back and waits until it does.
 * @throws MeshError `timeout` if that does not happen before `signal` aborts.
 */
export async function withhold(mesh: DemoMesh, cluster: DemoCluster, signal: AbortSignal): Promise<Withheld> {
  const { config } = mesh.configs.find((each) => each.cluster === cluster)!;
  const source = { ...mesh.planes.get(cluster)!, config, spire: mesh.attestation.of(cluster) };
  const { impersonate: identity } = await demoClient(source);
  if (identity === undefined) throw new MeshError("absent", `no node of ${cluster} has a ztunnel and a workload`);
  const ask = (): Promise<string> =>
    certificateOf(source, signal).then(
      () => "",
      (thrown: unknown) => messageOf(thrown),
    );
  const startMs = systemClock.elapsedMs();
  const restore = mesh.attestation.withhold(cluster, identity);
  const refusal = await until(ask, (said) => said !== "", signal);
  const refusedMs = Math.round(systemClock.elapsedMs() - startMs);
  restore();
  await until(ask, (said) => said === "", signal);
  const restoredMs = Math.round(systemClock.elapsedMs() - startMs) - refusedMs;
  return { spiffeId: formatServiceAccountId(identity), refusal, refusedMs, restoredMs };
}

async function until(
  ask: () => Promise<string>,
  holds: (said: string) => boolean,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    const said = await ask();
    if (signal.aborted)
      throw new MeshError("timeout", `an entry of SPIRE had no effect in time; last was said: ${said}`);
    if (holds(said)) return said;
    await new Promise<void>((resolve) => void systemClock.after(LOOK_MS, resolve));
  }
}

export const withheldText = ({ spiffeId, refusal, refusedMs, restoredMs }: Withheld): string =>
  `without its entry, ${spiffeId} was refused after ${refusedMs} ms (${refusal}), and with it issued again after ${restoredMs} ms`;

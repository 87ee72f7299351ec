import { join } from "node:path";
import type { CommandCall, Options } from "../command.ts";
import { refuseServed } from "../commands/connection.ts";
import { type RunningPlane, startPlane } from "../commands/running-plane.ts";
import { systemClock, systemRandom } from "../system-host.ts";
import { type TraceConfig, traceConfig } from "../trace-config.ts";
import { DemoAttestation } from "./attestation.ts";
import { issueAuthorities } from "./authorities.ts";
import { type DemoCluster, type DemoConfig, demoConfigs, managerPorts } from "./clusters.ts";
import { type LinkTarget, writeLinks } from "./links.ts";
import { Relay } from "./relay.ts";
import { DemoTrust } from "./trust.ts";

/** Registered only once it was refused. */
const LATE: DemoCluster = "vendor";

/** Several control planes in one process, each with its own cluster, authority and ports, and links between all of them. */
export class DemoMesh {
  #configs: readonly DemoConfig[];
  readonly #running = new Map<DemoCluster, RunningPlane>();
  readonly #relays = new Map<DemoCluster, Relay>();
  readonly #traces: TraceConfig | undefined;
  #attestation: DemoAttestation | undefined;
  #trust: DemoTrust | undefined;

  /** @throws UsageError for flags that only one control plane can have, and for variables of traces that cannot be. */
  constructor(call: Pick<CommandCall, "options"> & Partial<Pick<CommandCall, "environment">>, over: Options = {}) {
    this.#configs = demoConfigs(call, over);
    this.#traces = traceConfig(call.environment ?? {});
  }

  get configs(): readonly DemoConfig[] {
    return this.#configs;
  }

  /** Those that run now, in their order. */
  get planes(): ReadonlyMap<DemoCluster, RunningPlane> {
    return this.#running;
  }

  /** The stand-ins for SPIRE; once started. */
  get attestation(): DemoAttestation {
    return this.#attestation!;
  }

  /** Undefined with SPIRE, where each cluster is a trust domain of its own. */
  get trust(): DemoTrust | undefined {
    return this.#trust;
  }

  /** Resolves once each serves its own cluster; the links come up by themselves. @throws MeshError; nothing is left running. */
  async start(signal: AbortSignal): Promise<void> {
    // Before anything is written there: the sockets of another demo's stand-ins would be taken from it.
    for (const { config } of this.configs) await refuseServed(config.stateDir);
    try {
      if (this.configs[0]!.spireDir === undefined) await this.#startTrust(signal);
      else
        await issueAuthorities({ clock: systemClock, random: systemRandom }, this.#dirOf("spire-root"), this.configs);
      this.#attestation = await DemoAttestation.start(this.configs);
      await this.#link();
      for (const { cluster } of this.configs)
        if (cluster === LATE) await this.#startLate(signal);
        else await this.startPlane(cluster, signal);
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }

  /** @throws MeshError if it cannot start. */
  async startPlane(name: DemoCluster, signal: AbortSignal): Promise<void> {
    const { config } = this.configs.find(({ cluster }) => cluster === name)!;
    const running = await startPlane({ config, openToAll: true, traces: this.#traces }, signal);
    this.#running.set(name, running);
    this.attestation.register(name, running.plane);
  }

  /** What its peers reach of it: with the door closed, no traffic would come in. */
  relay(name: DemoCluster): Relay {
    return this.#relays.get(name)!;
  }

  /** As a control plane that crashed: its peers find their streams cut. */
  async stopPlane(name: DemoCluster): Promise<void> {
    const running = this.#running.get(name);
    this.#running.delete(name);
    await running?.close();
  }

  async close(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.stopPlane(name);
    for (const relay of this.#relays.values()) await relay.close();
    this.#relays.clear();
    await this.#attestation?.[Symbol.asyncDispose]();
    await this.#trust?.close();
  }

  #dirOf(name: string): string {
    return join(this.configs[0]!.config.stateDir, "..", name);
  }

  /** Each cluster has where to call and a token of its own; all but one are registered. */
  async #startTrust(signal: AbortSignal): Promise<void> {
    const { config } = this.configs[0]!;
    const ports = managerPorts(config.ports);
    const options = { listenAddress: config.listenAddress, ports, log: config.log };
    const trust = (this.#trust = await DemoTrust.start({ ...options, stateDir: this.#dirOf("trust") }, signal));
    const configs: DemoConfig[] = [];
    for (const demo of this.configs) {
      if (demo.cluster !== LATE) await trust.register(demo.cluster);
      const relay = { manager: trust.address, tokenFile: await trust.tokenFile(demo.cluster) };
      configs.push({ ...demo, config: { ...demo.config, relay } });
    }
    this.#configs = configs;
  }

  /** It calls, is refused as nobody registered it, is registered, and joins. */
  async #startLate(signal: AbortSignal): Promise<void> {
    const trust = this.#trust;
    const starting = this.startPlane(LATE, signal);
    if (trust !== undefined) {
      const isRefused = (): boolean => trust.view.refused.some(({ cluster }) => cluster === LATE);
      const refused = trust.until(isRefused, `${LATE} was not refused, though nobody registered it`, signal);
      await Promise.race([refused, starting]);
      await trust.register(LATE);
    }
    await starting;
  }

  /** Every cluster is told where the others are: at their relays, which stay where they are when a plane stops. */
  async #link(): Promise<void> {
    const targets: LinkTarget[] = [];
    for (const { cluster, config, relayPort, doorPort } of this.configs) {
      const { listenAddress: address, trustDomain } = config;
      const relay = new Relay(address, () => this.#running.get(cluster)?.plane.ports.xds);
      this.#relays.set(cluster, relay);
      const ports = { xdsPort: await relay.listen(relayPort), hbonePort: await relay.openDoor(doorPort) };
      targets.push({ cluster, trustDomain, address, ...ports });
    }
    for (const config of this.configs) await writeLinks(config, targets);
  }
}

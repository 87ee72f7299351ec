import { join } from "node:path";
import type { CommandCall, Options } from "../command.ts";
import { refuseServed } from "../commands/connection.ts";
import { type RunningPlane, startPlane } from "../commands/running-plane.ts";
import { systemClock, systemRandom } from "../system-host.ts";
import { DemoAttestation } from "./attestation.ts";
import { type DemoCluster, type DemoConfig, demoConfigs } from "./clusters.ts";
import { type LinkTarget, writeLinks } from "./links.ts";
import { Relay } from "./relay.ts";
import { issueAuthorities } from "./trust.ts";

/** Several control planes in one process, each with its own cluster, authority and ports, and links between all of them. */
export class DemoMesh {
  readonly configs: readonly DemoConfig[];
  readonly #running = new Map<DemoCluster, RunningPlane>();
  readonly #relays = new Map<DemoCluster, Relay>();
  readonly #rootDir: string;
  #attestation: DemoAttestation | undefined;

  /** @throws UsageError for flags that only one control plane can have. */
  constructor(call: Pick<CommandCall, "options">, over: Options = {}) {
    this.configs = demoConfigs(call, over);
    const [first] = this.configs;
    // The authorities of one trust domain are under another root than those of three.
    this.#rootDir = join(first!.config.stateDir, "..", first!.spireDir === undefined ? "root" : "spire-root");
  }

  /** Those that run now, in their order. */
  get planes(): ReadonlyMap<DemoCluster, RunningPlane> {
    return this.#running;
  }

  /** The stand-ins for SPIRE; once started. */
  get attestation(): DemoAttestation {
    return this.#attestation!;
  }

  /** Resolves once each serves its own cluster; the links come up by themselves. @throws MeshError; nothing is left running. */
  async start(signal: AbortSignal): Promise<void> {
    // Before anything is written there: the sockets of another demo's stand-ins would be taken from it.
    for (const { config } of this.configs) await refuseServed(config.stateDir);
    try {
      await issueAuthorities({ clock: systemClock, random: systemRandom }, this.#rootDir, this.configs);
      this.#attestation = await DemoAttestation.start(this.configs);
      await this.#link();
      for (const { cluster } of this.configs) await this.startPlane(cluster, signal);
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }

  /** @throws MeshError if it cannot start. */
  async startPlane(name: DemoCluster, signal: AbortSignal): Promise<void> {
    const { config } = this.configs.find(({ cluster }) => cluster === name)!;
    const running = await startPlane({ config, openToAll: true }, signal);
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

import { dirname, join, relative } from "node:path";
import { type CommandCall, type ExitCode, textOption, UsageError } from "../command.ts";
import { demoClient, leaveConnection } from "../commands/demo-client.ts";
import { messageOf } from "../errors.ts";
import type { TrustView } from "../manager/view.ts";
import { systemClock } from "../system-host.ts";
import { timeLimit } from "../time-limit.ts";
import { untilAborted } from "../until-aborted.ts";
import type { DemoCluster } from "./clusters.ts";
import { Convergence } from "./convergence.ts";
import { DemoMesh } from "./mesh.ts";
import { globalTable, linkTable } from "./tables.ts";
import { changeRoot, rootChangeText } from "./root-change.ts";
import { refusedText, trustTable } from "./trust-table.ts";
import { withheldText, withhold } from "./withheld.ts";

/** A mesh of three comes together within a second or two; whoever waits longer wants to know why. */
const TOGETHER_MS = 30_000;
/** Two waits of some seconds, in which workloads learn of roots. */
const ROOT_CHANGE_MS = 60_000;
/** A token of 12 hours must not end while the demo runs. */
const RENEW_TOKEN_MS = 6 * 3_600_000;

/** `npm start`: three clusters that become one mesh, what happens when one is stopped, and what to try. */
export async function runMeshDemo(call: CommandCall, pid: number): Promise<ExitCode> {
  if (textOption(call.options, "output") === "json") throw new UsageError("--output json is for --once; leave it out");
  const { printer, signal } = call;
  // What the links do is told here; a log of three control planes would hide it.
  const mesh = new DemoMesh(call, { log_output_level: "error" });
  await mesh.start(signal);
  await using convergence = new Convergence(mesh);
  try {
    using _renewal = keepTokens(mesh, pid, call);
    const story = new Story(mesh, convergence, call, pid);
    printer.out(await opening(mesh, signal));
    await story.together("every link is live, and this is what a ztunnel on edge can call");
    await story.lose("vendor");
    await story.regain("vendor");
    await story.changeRoot();
    if (mesh.attestation.of("edge") !== undefined) await story.withhold("edge");
    printer.out(whatToTry(mesh));
    await untilAborted(signal);
    return 0;
  } catch (thrown) {
    if (signal.aborted) return 0;
    throw thrown;
  } finally {
    await mesh.close();
  }
}

class Story {
  readonly #mesh: DemoMesh;
  readonly #convergence: Convergence;
  readonly #call: CommandCall;
  readonly #pid: number;

  constructor(mesh: DemoMesh, convergence: Convergence, call: CommandCall, pid: number) {
    this.#mesh = mesh;
    this.#convergence = convergence;
    this.#call = call;
    this.#pid = pid;
  }

  /** Waits until the mesh is whole, then shows it. */
  async together(title: string): Promise<void> {
    await leaveConnections(this.#mesh, this.#pid);
    await this.#convergence.follow();
    const startMs = systemClock.elapsedMs();
    const shortcomings = (): readonly string[] => this.#convergence.shortcomings();
    await this.#until(
      () => shortcomings().length === 0,
      () => shortcomings().join("; "),
    );
    this.#show(`${title} (after ${Math.round(systemClock.elapsedMs() - startMs)} ms):`);
  }

  /** First its control plane, then the way in for traffic: the first costs nothing, the second its endpoints. */
  async lose(name: DemoCluster): Promise<void> {
    await this.#convergence.leave(name);
    await this.#mesh.stopPlane(name);
    const stale = (): boolean =>
      this.#convergence.peers("edge").some((peer) => peer.cluster === name && peer.state === "stale");
    await this.#until(stale, () => `edge did not notice that ${name}'s control plane is gone`);
    this.#show(`${name}'s control plane is stopped: its links are stale, and its endpoints stay, as its pods do:`);
    await this.#mesh.relay(name).closeDoor();
    this.#call.printer.out(
      `now its east-west gateway is closed, too; that is believed after two looks, 5 s apart ...\n\n`,
    );
    const without = (): boolean =>
      this.#convergence.globalServices("edge").every(({ endpoints }) => (endpoints[name] ?? 0) === 0);
    await this.#until(without, () => `edge still sends traffic to ${name}`);
    this.#show(`the whole of ${name} is away: callers are sent to what is left:`);
  }

  async regain(name: DemoCluster): Promise<void> {
    await this.#mesh.relay(name).openDoor(0);
    await this.#mesh.startPlane(name, this.#call.signal);
    await this.together(`${name} is back, and all is as before`);
  }

  async withhold(name: DemoCluster): Promise<void> {
    const { printer, signal } = this.#call;
    using limit = timeLimit(systemClock, TOGETHER_MS, signal);
    printer.out(`a workload of ${name} loses its registration entry, and gets it back:\n`);
    printer.out(`  ${withheldText(await withhold(this.#mesh, name, limit.signal))}\n\n`);
  }

  /** Only where one trust manager gives all clusters their authorities. */
  async changeRoot(): Promise<void> {
    const { trust } = this.#mesh;
    if (trust === undefined) return;
    const { printer, signal } = this.#call;
    printer.out("the whole mesh gets a new root, while workloads of all clusters call each other ...\n\n");
    using limit = timeLimit(systemClock, ROOT_CHANGE_MS, signal);
    const change = await changeRoot(this.#mesh, trust, this.#convergence, limit.signal);
    printer.out(`  ${rootChangeText(change)}\n\n${trustTable(trust.view)}\n`);
  }

  #show(title: string): void {
    this.#call.printer.out(`${title}\n\n${linkTable(this.#mesh, this.#convergence)}\n`);
    this.#call.printer.out(`${globalTable(this.#convergence, "edge")}\n`);
  }

  async #until(holds: () => boolean, why: () => string): Promise<void> {
    using limit = timeLimit(systemClock, TOGETHER_MS, this.#call.signal);
    await this.#convergence.until(holds, why, limit.signal);
  }
}

async function opening(mesh: DemoMesh, signal: AbortSignal): Promise<string> {
  const { trust } = mesh;
  if (trust === undefined) return SPIRE_OPENING;
  using limit = timeLimit(systemClock, TOGETHER_MS, signal);
  const told = ({ clusters }: TrustView): boolean => clusters.length === 3 && clusters.every(({ current }) => current);
  await trust.until(told, "not every cluster has its intermediate", limit.signal);
  return `\
three control planes are up, each with its own cluster. Each made a key, and a trust manager gave it an intermediate:

${trustTable(trust.view)}
${refusedText(trust.view)}
Then it was registered, and joined.

`;
}

const SPIRE_OPENING = `\
three control planes are up, each with its own cluster, its own trust domain, and beside it the demo's stand-in for SPIRE,
which signs for its workloads. It speaks SPIRE's messages and is not SPIRE: it attests nobody, and its keys are in memory.

`;

/** Leaves what `causeway` commands need to reach each control plane that runs. */
async function leaveConnections(mesh: DemoMesh, pid: number): Promise<void> {
  await mesh.trust?.leaveConnection(pid);
  for (const { cluster, config } of mesh.configs) {
    const running = mesh.planes.get(cluster);
    if (running !== undefined) await leaveConnection(running, config, await demoClient({ ...running, config }), pid);
  }
}

function keepTokens(mesh: DemoMesh, pid: number, { printer }: CommandCall): Disposable {
  let timer: Disposable;
  const wait = (): void => {
    timer = systemClock.after(RENEW_TOKEN_MS, () => {
      wait();
      leaveConnections(mesh, pid).catch((thrown: unknown) =>
        printer.err(`causeway: the demo's tokens were not renewed: ${messageOf(thrown)}\n`),
      );
    });
  };
  wait();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

function whatToTry(mesh: DemoMesh): string {
  const { stateDir, manifests } = mesh.configs[0]!.config;
  const state = (cluster: DemoCluster): string => join(dirname(stateDir), cluster);
  return `\
What stands in for what: clusters are the folders of examples/, and the way between them is a relay on this machine that
passes TLS through, as an east-west gateway does. No workload runs, so no traffic crosses.

TRY, in another terminal
  npx causeway services --state ${state("edge")}        what edge's ztunnels hold; VIPs 240.240.… are of mesh.internal names
  npx causeway explain agent.accounts.mesh.internal --from assistant/chatbot --state ${state("edge")} --peer-state ${state("bank")}
                                             why the name has its endpoints, which way calls go, and who enforces what
  npx causeway explain ledger.ledger --state ${state("edge")} --peer-state ${state("vendor")}
                                             why that one has none, and what would give it some
  npx causeway proxy-status --state ${state("bank")}    who is connected to bank: its peers, too
  npx causeway watch wds --state ${state("edge")}       what arrives there, as it does
${attestationToTry(mesh)}\
${trustToTry(mesh)}\
  edit ${join(dirname(manifests[0]!.folder), "vendor", "converter.yaml")}: more replicas, or no label, and see edge have it
  rm ${join(state("edge"), "links", "vendor.yaml")}: edge forgets vendor, and vendor does not forget edge

Ctrl-C ends it.
`;
}

/** Empty with SPIRE. */
function trustToTry({ trust, configs }: DemoMesh): string {
  if (trust === undefined) return "";
  const { folder } = trust;
  return `\
  npx causeway trust status --state ${trust.stateDir}   who signs under which root
  npx causeway check trust --state ${configs[0]!.config.stateDir}      whether all of that holds, and what to do if not
  edit ${join(folder, "policy.yaml")}: another value of rotate-root, and see the mesh get another root
`;
}

/** Empty without SPIRE. */
function attestationToTry(mesh: DemoMesh): string {
  const [{ spireDir, config }] = mesh.configs as [DemoMesh["configs"][number]];
  if (spireDir === undefined) return "";
  return `\
  edit ${join(relative(".", spireDir), "entries.json")}: without its entry, a workload gets no certificate when it asks again
  npx causeway spire status --state ${config.stateDir}    what SPIRE is to edge, and what of that is not well
`;
}

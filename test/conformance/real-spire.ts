import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS } from "../../src/kube/resource-types.ts";
import { endWithUs, eventually } from "./causeway-process.ts";
import type { KubeCluster } from "./kube-lab.ts";
import type { Missing } from "./machine.ts";
import { manyEntries, type SiteEntry, type SpireSite } from "./spire-site.ts";

const START_MS = 60_000;
const AGENT = { namespace: "spire", name: "spire-agent-1", account: "spire-agent" };

/** Where a `spire-server` and a `spire-agent` 1.15 lie: nobody's binary is kept here, so their folder is given. */
export function spireBinaries(environment: NodeJS.ProcessEnv): string | Missing {
  const folder = environment["SPIRE"];
  if (folder === undefined)
    return { missing: "SPIRE is not set to a folder with spire-server and spire-agent 1.15; its own stand-in is used" };
  try {
    for (const name of ["spire-server", "spire-agent"]) accessSync(join(folder, name), constants.X_OK);
    return folder;
  } catch {
    return { missing: `SPIRE=${folder} does not hold executable files spire-server and spire-agent` };
  }
}

export interface RealSpireOptions {
  readonly binaries: string;
  readonly folder: string;
  readonly trustDomain: string;
  /** Whose nodes prove themselves to it. */
  readonly cluster: KubeCluster;
  readonly node: string;
}

const execute = promisify(execFile);
/** What it prints of thousands of entries. */
const run = (file: string, args: readonly string[]) => execute(file, args, { maxBuffer: 2 ** 26 });

/** SPIRE itself: a server, and an agent that has proven to be on a node of a cluster, by k8s_psat. */
export class RealSpire implements SpireSite {
  readonly name = "SPIRE";
  readonly #options: RealSpireOptions;
  readonly #port: number;
  #server: ChildProcess | undefined;
  #agent: ChildProcess | undefined;

  private constructor(options: RealSpireOptions, port: number) {
    this.#options = options;
    this.#port = port;
  }

  static async start(options: RealSpireOptions): Promise<RealSpire> {
    for (const name of ["server", "agent", "admin"]) mkdirSync(join(options.folder, name), { recursive: true });
    const spire = new RealSpire(options, await freePort());
    await spire.#join();
    await spire.startServer();
    await spire.startAgent();
    return spire;
  }

  get trustDomain(): string {
    return this.#options.trustDomain;
  }
  get server(): string {
    return `127.0.0.1:${this.#port}`;
  }
  get serverSocket(): string {
    return `unix://${this.#at("server/api.sock")}`;
  }
  get agent(): string {
    return `unix://${this.#at("agent/agent.sock")}`;
  }
  get adminSocket(): string {
    return this.#at("admin/admin.sock");
  }
  agentId = "";

  async addEntry({ spiffeId, selectors, parentId = this.agentId, ...more }: SiteEntry): Promise<string> {
    const flags = selectors.flatMap((selector) => ["-selector", selector]);
    if (more.admin === true) flags.push("-admin");
    if (more.downstream === true) flags.push("-downstream");
    for (const name of more.dnsNames ?? []) flags.push("-dns", name);
    const made = await this.#cli("entry", "create", "-spiffeID", spiffeId, "-parentID", parentId, ...flags);
    return /Entry ID\s*: (\S+)/.exec(made)![1]!;
  }

  async addMany(): Promise<number> {
    // Its database takes some hundred in a second.
    const entries = manyEntries(this, 2_000).map(({ spiffeId, parentId, selectors }) => ({
      ...{ spiffe_id: spiffeId, parent_id: parentId },
      selectors: selectors.map((text) => ({ type: "k8s", value: text.slice("k8s:".length) })),
    }));
    writeFileSync(this.#at("entries.json"), JSON.stringify({ entries }));
    await this.#cli("entry", "create", "-data", this.#at("entries.json"));
    return entries.length;
  }

  async removeEntry(id: string): Promise<void> {
    await this.#cli("entry", "delete", "-entryID", id);
  }

  async countEntries(): Promise<number> {
    return Number(/(\d+) registration entr/.exec(await this.#cli("entry", "count"))![1]);
  }

  roots(): Promise<string> {
    return this.#cli("bundle", "show");
  }

  async rotate(): Promise<void> {
    const prepared = await this.#cli("localauthority", "x509", "prepare");
    const id = /Authority ID:\s*(\S+)/.exec(prepared)![1]!;
    await this.#cli("localauthority", "x509", "activate", "-authorityID", id);
  }

  async startServer(): Promise<void> {
    writeFileSync(this.#at("server.conf"), this.#serverConfig());
    this.#server = this.#spawn("spire-server");
    await eventually("SPIRE's server answers", START_MS, async () =>
      (await this.#cli("healthcheck")).includes("healthy"),
    );
  }

  async startAgent(): Promise<void> {
    writeFileSync(this.#at("bundle.pem"), await this.roots());
    writeFileSync(this.#at("agent.conf"), this.#agentConfig());
    const { cluster } = this.#options;
    const { namespace, name, account } = AGENT;
    writeFileSync(this.#at("token"), await cluster.podToken(namespace, name, account, "spire-server"));
    this.#agent = this.#spawn("spire-agent");
    await eventually("SPIRE's server knows its agent", START_MS, async () => {
      this.agentId = /SPIFFE ID\s*: (spiffe:\S+)/.exec(await this.#cli("agent", "list"))?.[1] ?? "";
      return this.agentId !== "";
    });
  }

  async stopServer(): Promise<void> {
    await stopped(this.#server);
  }
  async stopAgent(): Promise<void> {
    await stopped(this.#agent);
  }
  async close(): Promise<void> {
    await this.stopAgent();
    await this.stopServer();
  }

  /** The agent's pod and its node, as a cluster with SPIRE has them. */
  async #join(): Promise<void> {
    const { cluster, node } = this.#options;
    const { namespace, name, account } = AGENT;
    await cluster.client.put(NAMESPACES, { metadata: { name: namespace } });
    await cluster.client.put(NODES, { metadata: { name: node } });
    await cluster.client.put(SERVICE_ACCOUNTS, { metadata: { name: account, namespace } });
    await cluster.client.put(PODS, {
      metadata: { name, namespace },
      spec: { nodeName: node, serviceAccountName: account, containers: [{ name: "agent", image: "agent" }] },
      status: { phase: "Running", hostIP: "10.1.0.1" },
    });
  }

  #at(name: string): string {
    return join(this.#options.folder, name);
  }

  async #cli(...words: readonly string[]): Promise<string> {
    const verb = words.filter((word, at) => !word.startsWith("-") && !(words[at - 1] ?? "").startsWith("-"));
    const flags = words.slice(verb.length);
    const socket = ["-socketPath", this.#at("server/api.sock")];
    const { stdout, stderr } = await run(join(this.#options.binaries, "spire-server"), [...verb, ...socket, ...flags]);
    return stdout + stderr;
  }

  #spawn(program: "spire-server" | "spire-agent"): ChildProcess {
    const config = this.#at(`${program.slice("spire-".length)}.conf`);
    const log = process.env["LAB_LOGS"];
    const child = spawn(join(this.#options.binaries, program), ["run", "-config", config], {
      stdio: log === undefined ? "ignore" : ["ignore", "inherit", "inherit"],
    });
    endWithUs(child);
    return child;
  }

  #serverConfig(): string {
    const { trustDomain, cluster } = this.#options;
    return `
server {
  trust_domain = "${trustDomain}"
  bind_address = "127.0.0.1"
  bind_port = "${this.#port}"
  socket_path = "${this.#at("server/api.sock")}"
  data_dir = "${this.#at("server")}"
  log_level = "WARN"
  ca_ttl = "24h"
}
plugins {
  DataStore "sql" {
    plugin_data { database_type = "sqlite3" connection_string = "${this.#at("server/data.sqlite3")}" }
  }
  KeyManager "disk" { plugin_data { keys_path = "${this.#at("server/keys.json")}" } }
  NodeAttestor "k8s_psat" {
    plugin_data {
      clusters = {
        "${cluster.name}" = {
          service_account_allow_list = ["${AGENT.namespace}:${AGENT.account}"]
          kube_config_file = "${cluster.api.kubeconfig}"
        }
      }
    }
  }
}
`;
  }

  #agentConfig(): string {
    const { trustDomain, cluster } = this.#options;
    return `
agent {
  trust_domain = "${trustDomain}"
  server_address = "127.0.0.1"
  server_port = "${this.#port}"
  socket_path = "${this.#at("agent/agent.sock")}"
  admin_socket_path = "${this.adminSocket}"
  authorized_delegates = ["spiffe://${trustDomain}/gateway-agent"]
  trust_bundle_path = "${this.#at("bundle.pem")}"
  data_dir = "${this.#at("agent")}"
  log_level = "WARN"
  experimental { sync_interval = "1s" }
}
plugins {
  KeyManager "memory" {}
  NodeAttestor "k8s_psat" { plugin_data { cluster = "${cluster.name}" token_path = "${this.#at("token")}" } }
  WorkloadAttestor "unix" {}
}
`;
  }
}

async function stopped(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

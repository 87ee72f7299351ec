import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import * as http2 from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { toPem } from "../../src/pem.ts";
import { SpireStandIn } from "../../src/demo/spire/stand-in.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { realHost } from "../kits/real-host.ts";
import { type Pair, TestAuthority } from "../kits/tls.ts";
import { WAYPOINT_POD } from "../kits/waypoint-pod.ts";
import { AdsStandIn, type StandInPorts } from "./ads-stand-in.ts";
import { Causeway, endWithUs, eventually, PROGRAM } from "./causeway-process.ts";

/** Ports that nobody has: Envoy is told which to take. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listening()));
  const ports = servers.map(portOf);
  for (const server of servers) server.close();
  return ports;
}

async function listening(serve?: (socket: Socket) => void): Promise<Server> {
  const server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** One `causeway gateway`, as a kubelet starts it. */
export class GatewayProcess {
  readonly #process: ChildProcess;
  readonly #ready: number;
  readonly #metrics: number;
  readonly adminPort: number;
  readonly exit: Promise<number | null>;
  log = "";

  constructor(flags: readonly string[], ready: number, metrics: number, adminPort: number) {
    this.#ready = ready;
    this.#metrics = metrics;
    this.adminPort = adminPort;
    const env = { ...process.env, DRAIN_KEY: "key-of-the-hook" };
    const command = ["--enable-source-maps", PROGRAM, "gateway", ...flags];
    this.#process = spawn(process.execPath, command, { env, stdio: ["ignore", "pipe", "pipe"] });
    endWithUs(this.#process);
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on("data", (bytes: Buffer) => (this.log += bytes.toString()));
    this.exit = new Promise((resolve) => this.#process.once("exit", resolve));
  }

  stop(): void {
    this.#process.kill("SIGTERM");
  }

  /** At once, and its Envoy with it, as the end of a container does. */
  async kill(): Promise<void> {
    await this.killAlone();
    if (Number.isInteger(this.envoyPid) && existsSync(`/proc/${this.envoyPid}`)) process.kill(this.envoyPid, "SIGKILL");
  }

  /** As on a bare machine, where its Envoy lives on. */
  async killAlone(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.exit;
  }

  /** Of the Envoy that it has started. */
  get envoyPid(): number {
    return Number(/Envoy is started\s+pid=(\d+)/.exec(this.log)?.[1]);
  }

  /** Whether /healthz/ready says 200, and what else it says. */
  async readiness(): Promise<{ readonly ok: boolean; readonly text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.#ready}/healthz/ready`);
    return { ok: answer.ok, text: (await answer.text()).trim() };
  }

  async becomesReady(): Promise<void> {
    let said = "";
    await eventually("the gateway is ready", 20_000, async () => {
      const { ok, text } = await this.readiness();
      said = text;
      return ok;
    }).catch((thrown: unknown) => {
      throw new Error(`${(thrown as Error).message}: ${said}\n${this.log.slice(-3000)}`);
    });
  }

  /** What the preStop hook of an Envoy apart asks for, and hears. */
  async drain(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#metrics}/drain/key-of-the-hook`)).text();
  }

  async envoy(path: string): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.adminPort}${path}`)).text();
  }
}

/** `causeway serve` and SPIRE for identities, a stand-in for listeners, a server behind, and callers. */
export class AgentLab {
  readonly folder = mkdtempSync(join(tmpdir(), "causeway-agent-"));
  readonly #gateways: GatewayProcess[] = [];
  #plane: Causeway | undefined;
  #echo: Server | undefined;
  #ads: AdsStandIn | undefined;
  #caller: Pair | undefined;
  #root: TestAuthority | undefined;
  #spire: SpireStandIn | undefined;

  /** The demo's stand-in. Listeners, callers and the control plane know its first root. */
  get spire(): SpireStandIn {
    return this.#spire!;
  }
  get ads(): AdsStandIn {
    return this.#ads!;
  }
  get root(): TestAuthority {
    return this.#root!;
  }
  get rootFile(): string {
    return this.#at("roots.pem");
  }

  async start(): Promise<void> {
    const root = (this.#root = await TestAuthority.create());
    mkdirSync(this.#at("manifests"));
    writeFileSync(this.#at("manifests/mesh.yaml"), WAYPOINT_POD);
    writeCacerts(this.#at("cacerts"), root);
    writeFileSync(this.rootFile, root.root);
    const mesh = ["--manifests", this.#at("manifests")];
    const flags = [...mesh, "--cacerts", this.#at("cacerts")];
    this.#plane = await Causeway.start({ folder: this.#at("state"), flags });
    const account = ["-n", "shop", "--pod", "waypoint-1"];
    const token = execFileSync(process.execPath, [PROGRAM, "token", ...mesh, "--state", this.#at("state"), ...account]);
    writeFileSync(this.#at("token"), token);
    this.#caller = await root.issue(["spiffe://cluster.local/ns/shop/sa/cart"]);
    this.#echo = await listening((socket) => socket.on("error", () => socket.destroy()).pipe(socket));
    const folder = this.#at("spire");
    this.#spire = await SpireStandIn.start({ host: realHost(), folder, trustDomain: "cluster.local" });
    this.#ads = await AdsStandIn.start(root, this.#roots);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.kill()));
    await this.#ads?.stop();
    await this.#spire?.close();
    this.#echo?.close();
    await this.#plane?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The ports of new listeners, which the stand-in gives from now on. */
  async listeners(): Promise<StandInPorts> {
    const [hbone, tcp] = await freePorts(2);
    const ports = { hbone: hbone!, tcp: tcp!, echo: portOf(this.#echo!) };
    this.ads.give(ports, this.root.root);
    return ports;
  }

  async gateway(runDir: string, ...more: readonly string[]): Promise<GatewayProcess> {
    const [ready, metrics, admin, stats] = (await freePorts(4)).map(String);
    const who = ["--gateway", "waypoint", "--pod", "waypoint-1", "-n", "shop", "--address", "127.0.0.1"];
    const { xds } = this.#plane!.connection!;
    const where = ["--ca", xds, "--xds", `127.0.0.1:${this.ads.port}`, "--cluster", "Kubernetes"];
    const files = ["--root", this.rootFile, "--token", this.#at("token"), "--run-dir", this.#at(runDir)];
    const ports = ["--ready-port", ready!, "--metrics-port", metrics!, "--envoy-admin-port", admin!];
    const flags = [...who, ...where, ...files, ...ports, "--envoy-stats-port", stats!, "--concurrency", "1", ...more];
    const gateway = new GatewayProcess(flags, Number(ready), Number(metrics), Number(admin));
    this.#gateways.push(gateway);
    return gateway;
  }

  /** A caller's HTTP/2 connection. */
  http(port: number): Promise<http2.ClientHttp2Session> {
    const session = http2.connect(`https://127.0.0.1:${port}`, this.#tls());
    return new Promise((resolve, reject) => session.once("connect", () => resolve(session)).once("error", reject));
  }

  /** A caller's connection for bytes. */
  async tcp(port: number): Promise<TLSSocket> {
    const socket = connect({ host: "127.0.0.1", port, ...this.#tls() });
    await once(socket, "secureConnect");
    // Who reads nothing does not see an end either.
    return socket.on("error", () => {}).resume();
  }

  #tls() {
    const { certificate: cert, key } = this.#caller!;
    return { cert, key, ca: this.#roots, ALPNProtocols: ["h2"], checkServerIdentity: () => undefined };
  }

  get #roots(): string {
    const spire = this.spire.trust.own.roots.map((root) => toPem("CERTIFICATE", root));
    return [this.root.root, ...spire].join("\n");
  }

  #at(name: string): string {
    return join(this.folder, name);
  }
}

/** What is served to GET /. */
export function get(session: http2.ClientHttp2Session): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/" });
    let text = "";
    stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
    stream.once("end", () => resolve(text));
    stream.once("error", reject);
  });
}

/** What comes back. */
export async function echoed(socket: TLSSocket, text: string): Promise<string> {
  const back = once(socket, "data") as Promise<[Buffer]>;
  socket.write(text);
  return (await back)[0].toString();
}

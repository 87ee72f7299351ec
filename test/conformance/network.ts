import { execFileSync, spawn, type ChildProcess } from "node:child_process";

/** One machine of a test network: a network namespace with one address. */
export interface TestHost {
  readonly address: string;
  /** Path of its network namespace. */
  readonly netns: string;
  /** Starts a program there; the caller ends it. */
  spawn(command: string, args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess;
  /** Runs a program there to its end, and gives what it printed. */
  run(command: string, args: readonly string[]): string;
}

const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });

/**
 * Hosts that reach each other over a bridge and nothing else: 10.77.0.1, 10.77.0.2 and so on.
 * The bridge lives in a namespace of its own, so that nothing shows on the machine itself.
 */
export class TestNetwork implements Disposable {
  readonly hosts: readonly TestHost[];
  readonly #namespaces: string[] = [];

  constructor(size: number, name = `cw${process.pid}`) {
    const hub = `${name}-hub`;
    this.#add(hub);
    ip("-n", hub, "link", "add", "br0", "type", "bridge");
    ip("-n", hub, "link", "set", "br0", "up");
    this.hosts = Array.from({ length: size }, (_, index) => this.#addHost(hub, `${name}-${index + 1}`, index + 1));
  }

  #add(namespace: string): void {
    ip("netns", "add", namespace);
    this.#namespaces.push(namespace);
    ip("-n", namespace, "link", "set", "lo", "up");
  }

  #addHost(hub: string, namespace: string, index: number): TestHost {
    this.#add(namespace);
    const address = `10.77.0.${index}`;
    ip("-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", `port${index}`, "netns", hub);
    ip("-n", hub, "link", "set", `port${index}`, "master", "br0", "up");
    ip("-n", namespace, "addr", "add", `${address}/24`, "dev", "eth0");
    ip("-n", namespace, "link", "set", "eth0", "up");
    const inside = (command: string, args: readonly string[]) => ["netns", "exec", namespace, command, ...args];
    return {
      address,
      netns: `/run/netns/${namespace}`,
      spawn: (command, args, environment) =>
        spawn("ip", inside(command, args), {
          env: { ...process.env, ...environment },
          stdio: ["ignore", "pipe", "pipe"],
        }),
      run: (command, args) => execFileSync("ip", inside(command, args), { encoding: "utf8" }),
    };
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#namespaces) {
      try {
        ip("netns", "del", namespace);
      } catch {
        // Already gone; nothing else can hold it once the test's processes have ended.
      }
    }
  }
}

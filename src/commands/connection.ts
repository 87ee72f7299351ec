import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { writeWhole } from "../whole-file.ts";

/** How other commands reach a control plane on this machine. */
export interface Connection {
  readonly cluster: string;
  /** `host:port` of discovery and certificates over TLS. */
  readonly xds: string;
  /** As `http://127.0.0.1:15014`. */
  readonly admin: string;
  readonly health: string;
  /** Path of the PEM that verifies `xds`. */
  readonly rootCertificate: string;
  /** Path of a token that `xds` accepts; empty if there is none. */
  readonly token: string;
  readonly pid: number;
}

/** A control plane on this machine answers in milliseconds, one that is busy within this. */
const ANSWER_MS = 2_000;

const fileIn = (stateDir: string): string => join(stateDir, "connection.json");

/** Leaves it for other commands. @throws what the file system throws. */
export async function writeConnection(stateDir: string, connection: Connection): Promise<void> {
  await writeWhole(fileIn(stateDir), `${JSON.stringify(connection, undefined, 2)}\n`);
}

/** @throws MeshError `absent` if no control plane has left one, `invalid` if it is none; both say what to do. */
export async function readConnection(stateDir: string): Promise<Connection> {
  const file = fileIn(stateDir);
  const text = await readFile(file, "utf8").catch(async (thrown: unknown) => {
    const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    throw new MeshError(
      absent ? "absent" : "unavailable",
      absent
        ? `no control plane has left ${file}: ${await whatElse(stateDir)}`
        : `${file} cannot be read (${messageOf(thrown)}): make it readable, or use --admin <url>`,
    );
  });
  const connection = parse(text);
  if (connection !== undefined) return connection;
  throw new MeshError(
    "invalid",
    `${file} is damaged: restart the control plane, which writes it, or use --admin <url>`,
  );
}

/** The demo keeps a folder for each of its control planes: those below this one count, or beside it, if it is not there. */
async function whatElse(stateDir: string): Promise<string> {
  const around = existsSync(stateDir) ? stateDir : dirname(stateDir);
  const names = await readdir(around).catch(() => []);
  const within = names.map((name) => join(around, name)).filter((folder) => existsSync(fileIn(folder)));
  if (within.length > 0) return `there is one in each of ${within.sort().join(", ")}: name it with --state <dir>`;
  return 'start one with "causeway demo", or say where one is with --admin <url>';
}

/**
 * Two control planes on one state folder would overwrite each other's addresses and connection.
 * @throws MeshError `conflict` if the one that left its connection there still answers.
 */
export async function refuseServed(stateDir: string): Promise<void> {
  const left = await readConnection(stateDir).catch(() => undefined);
  if (left === undefined || !isRunning(left.pid) || !(await answers(left.admin))) return;
  throw new MeshError(
    "conflict",
    `${stateDir} is the state folder of the control plane at ${left.admin} (process ${left.pid}); stop that one, or choose another folder with --state <dir>`,
  );
}

/** Signal 0 only asks; a process of another user says that we may not. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    return thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
  }
}

/** Another program may have the port by now, or the process number. */
async function answers(admin: string): Promise<boolean> {
  try {
    const response = await fetch(new URL("/version", admin), {
      signal: AbortSignal.timeout(ANSWER_MS),
      redirect: "error",
    });
    return ((await response.json()) as { readonly component?: unknown } | null)?.component === "causeway";
  } catch {
    return false;
  }
}

function parse(text: string): Connection | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof Connection, unknown>> | null;
    const texts = ["cluster", "xds", "admin", "health", "rootCertificate", "token"] as const;
    const whole = texts.every((key) => typeof value?.[key] === "string") && typeof value?.pid === "number";
    return whole ? (value as unknown as Connection) : undefined;
  } catch {
    return undefined;
  }
}

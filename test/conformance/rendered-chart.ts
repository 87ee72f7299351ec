import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments, stringify } from "yaml";

const run = promisify(execFile);
export const CHARTS = join(import.meta.dirname, "..", "..", "..", "deploy", "charts");
const HELM_MS = 60_000;

export type Values = Readonly<Record<string, unknown>>;

export interface ChartObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Values };
  readonly [field: string]: unknown;
}

/** The charts of this repository, as a real Helm sees them. */
export class Helm {
  readonly #binary: string;
  /** For values, and for what is rendered. */
  readonly folder = mkdtempSync(join(tmpdir(), "causeway-charts-"));

  constructor(binary: string) {
    this.#binary = binary;
  }

  /** @throws with what Helm says if it refuses the values or the chart. */
  async text(chart: string, values: Values = {}, namespace = "istio-system", ...more: readonly string[]) {
    const args = ["template", "release", join(CHARTS, chart), "--namespace", namespace, "--values", this.#file(values)];
    return (await this.#run([...args, ...more])).stdout;
  }

  /** The same, taken apart. */
  async objects(chart: string, values?: Values, namespace?: string, ...more: readonly string[]) {
    return objectsIn(await this.text(chart, values, namespace, ...more));
  }

  /** What Helm says when it refuses these values; undefined if it takes them. */
  async refusal(chart: string, values: Values, namespace?: string): Promise<string | undefined> {
    try {
      await this.text(chart, values, namespace);
      return undefined;
    } catch (thrown) {
      return (thrown as { stderr: string }).stderr;
    }
  }

  /** What is shown after an installation. */
  async notes(chart: string, values: Values, namespace = "istio-system"): Promise<string> {
    const args = ["install", "release", join(CHARTS, chart), "--namespace", namespace, "--dry-run=client"];
    const { stdout } = await this.#run([...args, "--values", this.#file(values)]);
    return stdout.slice(stdout.indexOf("NOTES:"));
  }

  /** `helm` with these words, in a cluster; `values` as -f. @returns what it prints, messages last. */
  async inCluster(kubeconfig: string, values: Values, ...words: readonly string[]): Promise<string> {
    const { stdout, stderr } = await this.#run([...words, "--values", this.#file(values)], kubeconfig);
    return `${stdout}${stderr}`;
  }

  /** As `inCluster`, of a command that takes no values. */
  async of(kubeconfig: string, ...words: readonly string[]): Promise<string> {
    return (await this.#run(words, kubeconfig)).stdout;
  }

  /** @throws with its findings. */
  async lint(chart: string): Promise<void> {
    await this.#run(["lint", "--strict", "--namespace", "istio-system", join(CHARTS, chart)]);
  }

  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #file = (values: Values): string =>
    this.write(`values-${(this.#files += 1)}.yaml`, stringify(values, { version: "1.1" }));
  #files = 0;

  #run(args: readonly string[], kubeconfig = join(this.folder, "none")) {
    // Nothing of whoever runs this, and no cluster of theirs.
    const env = { PATH: process.env["PATH"], HOME: this.folder, KUBECONFIG: kubeconfig };
    return run(this.#binary, [...args], { env, timeout: HELM_MS, maxBuffer: 1 << 26 });
  }
}

export const shown = ({ kind, metadata }: ChartObject): string => `${kind} ${metadata.name}`;

export const objectsIn = (text: string): readonly ChartObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as ChartObject | null)
    .filter((object) => object !== null);

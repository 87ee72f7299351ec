import type { Context } from "mocha";
import { chartTools, type ChartTools, TOOLS_MS } from "./chart-tools.ts";
import { KubeLab } from "./kube-lab.ts";
import { skipWithout } from "./machine.ts";
import { Helm } from "./rendered-chart.ts";

/** The programs that charts are held to, built once; skips what the hook begins, and says why, if they cannot be had. */
export async function neededChartTools(context: Context): Promise<ChartTools> {
  context.timeout(TOOLS_MS + 60_000);
  const found = await chartTools();
  skipWithout(context, "charts", "missing" in found ? found : true);
  return found as ChartTools;
}

/** Helm, and API servers that it installs into. */
export class ChartLab {
  readonly kube: KubeLab;
  readonly tools: ChartTools;
  readonly helm: Helm;

  private constructor(kube: KubeLab, tools: ChartTools) {
    this.kube = kube;
    this.tools = tools;
    this.helm = new Helm(tools.helm);
  }

  /** Skips what the hook begins if something is missing on this machine. */
  static async open(context: Context): Promise<ChartLab> {
    // What the API server is made of is most of what the tools are made of, and is compiled once.
    const kube = await KubeLab.open(context);
    return new ChartLab(kube, await neededChartTools(context));
  }

  async close(): Promise<void> {
    await this.kube.close();
    this.helm.close();
  }
}

// Lays out one graph per message. The library before this text defines Viz.
const ready = Viz.instance();
onmessage = async ({ data: { number, graph } }) => {
  try {
    const viz = await ready;
    postMessage({ number, svg: viz.renderString(graph, { format: "svg" }) });
  } catch (error) {
    postMessage({ number, error: String(error) });
  }
};

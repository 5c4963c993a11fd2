// A day's line in a table cell: the closes of its minutes, the last price as a dot.

/** Fit a canvas to its place on the screen; give its context, scaled to CSS pixels, and its size. */
export function fit(canvas) {
  const scale = Math.min(devicePixelRatio || 1, 3);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Draw prices, oldest first; `base` (the close of the day before) decides the colour, and is drawn where it is near. */
export function drawSpark(canvas, prices, base) {
  const { context, width, height } = fit(canvas);
  if (prices.length < 2 || !width) return;
  const low = Math.min(...prices);
  const high = Math.max(...prices);
  const x = (i) => 1 + (i / (prices.length - 1)) * (width - 5);
  const y = (value) => 3 + (1 - (value - low) / (high - low || 1)) * (height - 6);
  const last = prices[prices.length - 1];
  const style = getComputedStyle(canvas);
  const colour = style.getPropertyValue(last >= (base ?? prices[0]) ? "--up" : "--down");

  if (base >= low && base <= high) {
    context.strokeStyle = style.getPropertyValue("--line");
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(0, y(base));
    context.lineTo(width, y(base));
    context.stroke();
    context.setLineDash([]);
  }
  context.beginPath();
  prices.forEach((value, i) => context.lineTo(x(i), y(value)));
  context.strokeStyle = colour;
  context.lineWidth = 1.4;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(x(prices.length - 1), height);
  context.lineTo(x(0), height);
  context.globalAlpha = 0.1;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x(prices.length - 1), y(last), 2, 0, 7);
  context.fill();
}

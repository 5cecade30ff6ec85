// Evaluated inside the page. The phone's clock stands on a picture and is left out.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };

  // WCAG 2.2, relative luminance
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] > 230) return color;
    }
    return [255, 255, 255, 255];
  };

  const textOf = (element) => [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join("");
  const isMeant = (element) => textOf(element) && element.checkVisibility() && !element.closest(".screen > :not(.pushes), :disabled, script, noscript");

  // below 4.5 to 1 (WCAG 2.2, 1.4.3)
  const faintTexts = [];
  for (const element of [...document.querySelectorAll("body *")].filter(isMeant)) {
    const color = rgba(getComputedStyle(element).color);
    if (color[3] === 0) continue; // its sign is drawn by a pseudo-element
    const [lighter, darker] = [luminance(color), luminance(groundOf(element))].sort((a, b) => b - a);
    const ratio = (lighter + 0.05) / (darker + 0.05);
    if (ratio < 4.5) faintTexts.push(`${ratio.toFixed(2)}: ${textOf(element)}`);
  }

  const nameOf = (control) => control.labels?.[0]?.textContent ?? control.getAttribute("aria-label") ?? control.textContent;
  const namelessControls = [...document.querySelectorAll("button, input")].filter((control) => !nameOf(control).trim()).map((control) => control.outerHTML);

  return { faintTexts, namelessControls };
}

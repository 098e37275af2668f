// Two things need a script: the stock that counts down, and the chat.
const counters = document.querySelectorAll("[data-stock]");
if (counters.length) {
  // The browser comes back by itself, with the id of the last event it saw.
  const stock = new EventSource("/stock");
  stock.addEventListener("stock", (event) => {
    const move = JSON.parse(event.data);
    for (const counter of counters) {
      if (counter.dataset.stock === move.product) counter.textContent = move.stock;
    }
  });
}

const chat = document.querySelector("[data-chat]");
if (chat) {
  const list = chat.querySelector("ol");
  const form = chat.querySelector("form");
  const say = (text, from) => {
    const line = document.createElement("li");
    line.className = from;
    line.textContent = text;
    list.append(line);
    line.scrollIntoView({ block: "nearest" });
  };
  let socket, greeted = false;
  const connect = () => {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/chat");
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.seq === 0 && greeted) return; // back after a release: no second greeting
      greeted = true;
      say(message.text, "support");
    };
    socket.onclose = () => setTimeout(connect, 500);
  };
  connect();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(JSON.stringify({ from: "me", text: form.text.value }));
    say(form.text.value, "me");
    form.reset();
  });
}

-- Sends every radiograph that becomes complete to NanoRay, and never what NanoRay sent.
function OnStableSeries(seriesId, tags, metadata)
  local modality = tags["Modality"]
  local ours = tags["Manufacturer"] == "NanoRay"
  if (modality == "CR" or modality == "DX") and not ours then
    SendToModality(seriesId, "nanoray")
  end
end

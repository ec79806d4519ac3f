//! Renders a window without a screen on a software adapter: OpenGL (`libegl1 libgl1-mesa-dri`) or
//! Vulkan (`mesa-vulkan-drivers`). `WGPU_BACKEND` selects one.
//!
//! `egui_kittest` also has such a renderer, but its feature would build eframe a second time.

use std::time::Duration;

use eframe::egui::{Context, FullOutput, TexturesDelta};
use egui_kittest::TestRenderer;
use egui_wgpu::{
    RenderState, RendererOptions, ScreenDescriptor, WgpuConfiguration, WgpuSetup,
    WgpuSetupCreateNew,
};
use image::RgbaImage;
use pollster::block_on;
use wgpu::{
    Adapter, BufferDescriptor, BufferUsages, COPY_BYTES_PER_ROW_ALIGNMENT, Color,
    CommandEncoderDescriptor, DeviceType, Extent3d, LoadOp, MapMode, Operations, PollType,
    RenderPassColorAttachment, RenderPassDescriptor, StoreOp, TexelCopyBufferInfo,
    TexelCopyBufferLayout, Texture, TextureDescriptor, TextureDimension, TextureUsages,
};

/// Time limit for rendering one picture.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Painter {
    state: RenderState,
}

impl Painter {
    /// Returns `None` if there is no software adapter. Graphics cards are not used, because their
    /// rounding differs.
    pub fn new() -> Option<Self> {
        let mut setup = WgpuSetupCreateNew::without_display_handle();
        setup.native_adapter_selector = Some(std::sync::Arc::new(|adapters, _| software(adapters)));
        let setup = WgpuSetup::CreateNew(setup);
        let instance = block_on(setup.new_instance());
        let config = WgpuConfiguration { wgpu_setup: setup, ..WgpuConfiguration::default() };
        // No dithering, and the same texture filtering on every adapter.
        let options = RendererOptions::PREDICTABLE;
        match block_on(RenderState::create(&config, &instance, None, options)) {
            Ok(state) => Some(Self { state }),
            Err(egui_wgpu::WgpuError::CustomNativeAdapterSelectionError(_)) => None,
            Err(error) => panic!("the software adapter cannot be used: {error}"),
        }
    }

    /// Waits until rendering is finished and returns the picture.
    fn read(&self, texture: &Texture) -> RgbaImage {
        let RenderState { device, queue, .. } = &self.state;
        let (width, height) = (texture.width(), texture.height());
        let row = 4 * width;
        let padded = row.next_multiple_of(COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = device.create_buffer(&BufferDescriptor {
            label: None,
            size: u64::from(padded * height),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let layout =
            TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded), rows_per_image: None };
        let size = Extent3d { width, height, depth_or_array_layers: 1 };
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
        let target = TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), target, size);
        queue.submit([encoder.finish()]);
        buffer.slice(..).map_async(MapMode::Read, |mapped| mapped.expect("a readable picture"));
        let wait = PollType::Wait { submission_index: None, timeout: Some(TIMEOUT) };
        device.poll(wait).expect("a finished picture");
        let bytes = buffer.slice(..).get_mapped_range().expect("a readable picture");
        let rows = bytes.chunks_exact(padded as usize).flat_map(|line| &line[..row as usize]);
        RgbaImage::from_raw(width, height, rows.copied().collect())
            .expect("the right number of bytes")
    }
}

fn software(adapters: &[Adapter]) -> Result<Adapter, String> {
    let found = adapters.iter().find(|a| a.get_info().device_type == DeviceType::Cpu);
    found.cloned().ok_or_else(|| "no software adapter".to_owned())
}

impl TestRenderer for Painter {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        let RenderState { device, queue, .. } = &self.state;
        let mut renderer = self.state.renderer.write();
        for (id, images) in delta.set.drain() {
            for image in images {
                renderer.update_texture(device, queue, id, &image);
            }
        }
        for id in delta.free.drain() {
            renderer.free_texture(&id);
        }
    }

    fn render(&mut self, ctx: &Context, output: &FullOutput) -> Result<RgbaImage, String> {
        let RenderState { device, queue, target_format, .. } = &self.state;
        let pixels_per_point = ctx.pixels_per_point();
        let size = ctx.content_rect().size() * pixels_per_point;
        let (width, height) = (size.x.round() as u32, size.y.round() as u32);
        let screen = ScreenDescriptor { size_in_pixels: [width, height], pixels_per_point };
        let triangles = ctx.tessellate(output.shapes.clone(), pixels_per_point);
        let texture = device.create_texture(&TextureDescriptor {
            label: None,
            size: Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format: *target_format,
            usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut renderer = self.state.renderer.write();
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
        let before = renderer.update_buffers(device, queue, &mut encoder, &triangles, &screen);
        // The window is cleared with the colour of the panels, because a row of pixels between two
        // panels can be only half covered.
        let [r, g, b, a] = ctx.global_style().visuals.panel_fill.to_normalized_gamma_f32();
        let [r, g, b, a] = [r, g, b, a].map(f64::from);
        let ops = Operations { load: LoadOp::Clear(Color { r, g, b, a }), store: StoreOp::Store };
        let attachment =
            RenderPassColorAttachment { view: &view, resolve_target: None, ops, depth_slice: None };
        let attachments = [Some(attachment)];
        let pass = RenderPassDescriptor {
            color_attachments: &attachments,
            ..RenderPassDescriptor::default()
        };
        let mut pass = encoder.begin_render_pass(&pass).forget_lifetime();
        renderer.render(&mut pass, &triangles, &screen);
        drop(pass);
        drop(renderer);
        queue.submit(before.into_iter().chain([encoder.finish()]));
        Ok(self.read(&texture))
    }
}
